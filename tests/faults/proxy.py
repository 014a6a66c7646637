"""A network that misbehaves: a TCP proxy that delays, swallows and cuts what passes through it."""

import socket
import threading
import time
from contextlib import suppress
from typing import Final, Self

from fixtures.broker import free_port

_PIECE: Final = 65_536


class Proxy:
    """Listens on `port` and hands everything on to another port of this machine.

    `delay_s` holds each piece back; `swallow_up` loses what clients say, `swallow_down` what they would hear,
    both without a word, as a half-open connection does; `refusing` lets nobody in.
    """

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self.delay_s = 0.0
        self.swallow_up = False
        self.swallow_down = False
        self.refusing = False
        self.swallowed = 0
        self._to_port = to_port
        self._sockets: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        self.cut()

    def cut(self) -> None:
        """End all connections at once."""
        for one in list(self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._to_port), timeout=2)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self._sockets |= {client, server}
            for source, target, upwards in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._copy, args=(source, target, upwards), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, upwards: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                if self.delay_s:
                    time.sleep(self.delay_s)
                if self.swallow_up if upwards else self.swallow_down:
                    self.swallowed += len(piece)
                else:
                    target.sendall(piece)
        for one in (source, target):
            self._sockets.discard(one)
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            if one is source:
                one.close()
