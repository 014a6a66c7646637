"""One connection of an `Intake` or an `Outlet`: its handshake, its flow in both directions, its end."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from broker import wire
from broker.inbox import Inbox
from broker.wire_parts import FAILURE, LARGEST_PACKET_BYTES, WireError, explain

REST_S: Final = 0.005
"""So long a busy socket is left alone, or the broker's single writes would each cost a turn of the loop."""
RESTLESS_BYTES: Final = 64 * 1024
CONNECT_S: Final = 10.0
PINGS: Final = 3
"""Pings in the time the broker has to be heard in."""
_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What is said on every connection, ready to be written; `filters` may be none."""

    username: str
    connect: bytes = field(repr=False)
    filters: tuple[str, ...]
    subscribe: bytes
    online: bytes
    farewell: bytes
    keepalive_s: int


class Link(asyncio.Protocol):
    """Puts what it reads into the inbox, calling `news` after each read; `ended` tells why it ended.

    It is `up` as soon as the broker knows what we subscribe to: with the SUBACK, or before it where the
    session was kept, because the SUBACK may stand behind more messages than the inbox holds. Where there
    is nothing to subscribe to it is up with the CONNACK. `answered` takes the answers to our messages;
    `news` is also called when a connection that was `choked` can be written to again.
    """

    def __init__(
        self,
        hello: Hello,
        inbox: Inbox,
        now: Callable[[], datetime],
        news: Callable[["Link"], None],
        answered: Callable[[wire.Puback], None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self.up = False
        self.subscribed = False
        self.session_present = False
        self.reading = False
        self.choked = False
        self.receive_maximum = wire.RECEIVE_MAXIMUM
        self.packet_maximum = LARGEST_PACKET_BYTES
        self._hello = hello
        self._keepalive_s = hello.keepalive_s
        self._inbox = inbox
        self._now = now
        self._news = news
        self._answered = answered or self._status_answered
        self._splitter = wire.Splitter()
        self._transport: asyncio.Transport | None = None
        self._accepted = False
        self._resting = False
        self._leaving = False
        self._heard_s = self._loop.time()
        self._unheard = 0  # pings, not seconds: while the process itself is held up, none is sent

    async def live(self, host: str, port: int) -> None:
        """Connect and stay connected to the end, whatever ends it."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._loop.create_connection(lambda: self, host, port)
            while not self.ended.done():
                await asyncio.wait({self.ended}, timeout=self.watch())
        except OSError as error:
            self.end(str(error) or type(error).__name__)
        finally:
            self.end("left")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what create_connection makes
        self._transport = transport
        self.reading = True
        found = transport.get_extra_info("socket")
        if found is not None and _USER_TIMEOUT is not None:
            # While we do not read, only the kernel can tell that nobody is there any more.
            found.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, self._keepalive_s * 2000)
        transport.write(self._hello.connect)

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        now_s = self._loop.time()
        since_s, self._heard_s = now_s - self._heard_s, now_s
        self._unheard = 0
        if self._leaving or self.ended.done():
            return
        try:
            for packet in self._inbox.put(self._splitter.feed(data), self._now()):
                if type(packet) is wire.Puback:
                    self._answered(packet)
                else:
                    self._answer(packet)
        except WireError as error:
            self.end(str(error))
            return
        if unwanted := self._inbox.unwanted():
            self.write(wire.pubacks(unwanted))
        self.adjust()
        if since_s < 2 * REST_S and len(data) < RESTLESS_BYTES:
            self._rest()
        self._news(self)

    def _rest(self) -> None:
        """Let the kernel gather what comes, to read more of it at once."""
        if self._transport is not None and self.reading and not self._resting:
            self._resting = True
            self._transport.pause_reading()
            self._loop.call_later(REST_S, self._rested)

    def _rested(self) -> None:
        self._resting = False
        if self._transport is not None and (self.reading or self._leaving):
            self._transport.resume_reading()

    def _answer(self, packet: wire.Packet) -> None:
        match packet:
            case wire.Connack(reason=reason, text=text) if reason >= FAILURE:
                self.end(f"the broker refused {self._hello.username}: {explain(reason, text)}")
            case wire.Connack():
                self._accepted = True
                self._keepalive_s = packet.keepalive_s or self._keepalive_s
                self.receive_maximum, self.packet_maximum = packet.receive_maximum, packet.packet_maximum
                self.up = self.session_present = packet.session_present
                if self._hello.filters:
                    self.write(self._hello.subscribe)
                else:
                    self._ready()
            case wire.Suback():
                self._subscribed(packet)
            case wire.Disconnect(reason=reason, text=text):
                self.end(f"the broker ended the connection: {explain(reason, text)}")
            case _:
                pass

    def _status_answered(self, packet: wire.Puback) -> None:
        if packet.reason >= FAILURE:
            log.warning("status refused", user=self._hello.username, why=explain(packet.reason))

    def _subscribed(self, packet: wire.Suback) -> None:
        answers = zip(self._hello.filters, packet.reasons, strict=False)
        refused = [f"{one} ({explain(code)})" for one, code in answers if code >= FAILURE]
        if refused or len(packet.reasons) != len(self._hello.filters):
            self.end(f"the broker does not let {self._hello.username} read {', '.join(refused)}")
            return
        self._ready()

    def _ready(self) -> None:
        self.up = self.subscribed = True
        self.write(self._hello.online)
        log.info("connected", user=self._hello.username, session_present=self.session_present)

    def write(self, data: bytes) -> None:
        """Send; nothing happens when the connection has ended or is being left."""
        if data and self._transport is not None and not self._leaving and not self.ended.done():
            self._transport.write(data)

    def adjust(self) -> None:
        """Stop or go on reading, as the inbox has room and the broker takes our acknowledgements."""
        if self._transport is None or self._leaving:
            return
        if self.reading and (self.choked or self._inbox.full):
            self.reading = False
            self._transport.pause_reading()
        elif not self.reading and not self.choked and self._inbox.half_empty:
            self.reading = True
            self._unheard = 0
            if not self._resting:
                self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Read no more messages while acknowledgements pile up here."""
        self.choked = True
        if self._hello.filters:
            self.adjust()

    def resume_writing(self) -> None:
        """Go on."""
        self.choked = False
        self.adjust()
        self._news(self)

    def watch(self) -> float:
        """Send a ping and see whether the broker is still there; return the seconds until the next call."""
        if self._accepted:
            self.write(wire.PINGREQ)
        if self.reading:
            self._unheard += 1
        if self._unheard > PINGS:
            self.end(f"nothing was heard from the broker for {self._keepalive_s} s")
        return self._keepalive_s / PINGS

    def leave(self) -> None:
        """Say goodbye and wait for the broker to close, which it does after it has read what we sent.

        To close ourselves, with messages unread, would make the kernel throw away what the broker
        has not read yet: our last acknowledgements.
        """
        if self._transport is None or not self._accepted:
            self.end("left")
            return
        self.write(self._hello.farewell)
        self._leaving = True
        self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Note why."""
        self.end(str(error) if error else "the broker closed the connection")

    def end(self, why: str) -> None:
        """End the connection at once, if it has not ended."""
        if not self.ended.done():
            self.ended.set_result(why)
        self.up = self.reading = False
        if self._transport is not None:
            self._transport.abort()
