"""A browser tab's place on the bus, in a process of its own: what it hears, and when.

`python -m enms.bench.tab_client '{"api": …, "user": …, "filters": […]}'`, the password as the first line on
its input. It logs in over HTTP as a page does, subscribes over the broker's WebSocket listener, and
writes a line of JSON for each message until its input ends. The first line says that it is subscribed.
"""

import json
import select
import socket
import sys
import time
from array import array
from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from broker import wire, wire_parts
from enms.bench import websocket
from enms.bench.packets import BrokerRefusedError, connect

ANSWER_S: Final = 30.0
READ_BYTES: Final = 1 << 16
RENEW_S: Final = 240.0
"""The broker user of a tab lives a quarter of an hour."""
RETAINED_TOO: Final = 0


class Line:
    """MQTT over one WebSocket."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), ANSWER_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._frames, self._packets = websocket.Frames(), wire.Splitter()
        handshake = websocket.Handshake(f"{host}:{port}")
        self.socket.sendall(handshake.request)
        rest = None
        while rest is None:
            rest = handshake.feed(self._read())
        self._rest = rest
        self._heard: deque[wire.Packet] = deque()

    def send(self, packet: bytes) -> None:
        """Send MQTT packets as one frame."""
        self.socket.sendall(websocket.frame(websocket.BINARY, packet))

    def receive(self) -> list[wire.Packet]:
        """Return the packets that what arrives next completes, maybe none. Raises WebSocketError."""
        if self._heard:
            found = list(self._heard)
            self._heard.clear()
            return found
        data, self._rest = self._rest or self._read(), b""
        packets: list[wire.Packet] = []
        for opcode, payload in self._frames.feed(data):
            if opcode == websocket.PING:
                self.socket.sendall(websocket.frame(websocket.PONG, payload))
            elif opcode == websocket.CLOSE:
                raise websocket.WebSocketError("the broker closed the WebSocket")
            elif opcode in (websocket.BINARY, websocket.CONTINUED):
                packets += self._packets.feed(payload)
        return packets

    def answer(self) -> wire.Packet:
        """Return the next packet alone; those that came with it are received later."""
        while not self._heard:
            self._heard.extend(self.receive())
        return self._heard.popleft()

    @property
    def waiting(self) -> bool:
        """Whether packets are there that the socket knows nothing of."""
        return bool(self._heard)

    def _read(self) -> bytes:
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise websocket.WebSocketError("the broker ended the connection")
        return data


class Login:
    """A page's session, and the broker user that the gateway made for this tab of it."""

    def __init__(self, given: dict[str, Any], password: str) -> None:
        self._api = given["api"]
        made = self._post("session", {"username": given["user"], "password": password})
        self._token, self.mqtt = made["access_token"], made["mqtt"]
        self._renewed_s = time.monotonic()

    def keep(self) -> None:
        """Have the broker user live longer, when it is time for that."""
        if time.monotonic() - self._renewed_s > RENEW_S:
            self._post("session/renew", {"mqtt_username": self.mqtt["username"]})
            self._renewed_s = time.monotonic()

    def _post(self, path: str, body: dict[str, str]) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"} if path != "session" else {}
        said = httpx.post(
            f"{self._api}/{path}", json=body, headers=headers, timeout=ANSWER_S, trust_env=False
        )
        said.raise_for_status()
        return said.json()


def subscribed(mqtt: dict[str, str], filters: list[str]) -> Line:
    """Connect and subscribe. Raises BrokerRefusedError."""
    where = urlsplit(mqtt["url"])
    line = Line(where.hostname or "127.0.0.1", where.port or 80)
    line.send(connect(mqtt["username"], mqtt["password"]))
    line.send(wire.subscribe(1, filters, 1, retain_handling=RETAINED_TOO))
    for wanted in (wire.Connack, wire.Suback):
        said = line.answer()
        reasons = said.reasons if isinstance(said, wire.Suback) else (getattr(said, "reason", 0),)
        if not isinstance(said, wanted) or max(reasons) >= wire_parts.FAILURE:
            raise BrokerRefusedError(f"the broker refused the tab: {said}")
    return line


def run(given: dict[str, Any]) -> None:
    """Listen until the input ends."""
    login = Login(given, sys.stdin.readline().strip())
    line = subscribed(login.mqtt, given["filters"])
    _say(subscribed=True)
    while True:
        ready, _, _ = select.select([line.socket, sys.stdin], [], [], 0.0 if line.waiting else RENEW_S)
        if sys.stdin in ready:
            return
        login.keep()
        if not ready and not line.waiting:
            continue
        received_s = time.time()
        heard = [one for one in line.receive() if isinstance(one, wire.Publish)]
        for one in heard:
            _say(received_s=received_s, topic=one.topic.decode(), payload=one.payload.decode())
        if mids := array("H", (one.mid for one in heard if one.qos)):
            line.send(wire.pubacks(mids))


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
