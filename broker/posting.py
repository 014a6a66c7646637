"""Messages sent as they are, many at a time: what one is, and how many may await the broker's answer."""

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

AT_ONCE: Final = 200
"""How many messages may await the broker's acknowledgement."""

_USER_PROPERTY: Final = b"\x26"  # MQTT 5, 2.2.2.2


@dataclass(frozen=True, slots=True)
class Post:
    """A message to be published: `topic` is relative to the root, `user` are its MQTT 5 user properties."""

    topic: str
    payload: bytes
    user: tuple[tuple[str, str], ...] = ()
    qos: Literal[0, 1] = 1
    retain: bool = False


class Window:
    """Counts the messages under way on one connection, at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way = 0
        self._changed = asyncio.Event()
        self.closed = False

    def sent(self) -> None:
        """Count a message as under way."""
        self._under_way += 1

    def set(self) -> None:
        """Count one of them as answered by the broker."""
        self._under_way -= 1
        self._changed.set()

    def close(self) -> None:
        """Let everybody who waits go on: the connection is over and no answer will come."""
        self.closed = True
        self._changed.set()

    async def room(self) -> None:
        """Wait until one more may be sent."""
        await self._until_at_most(self._most - 1)

    async def all_answered(self) -> None:
        """Wait until the broker has answered everything."""
        await self._until_at_most(0)

    async def _until_at_most(self, count: int) -> None:
        while self._under_way > count and not self.closed:
            self._changed.clear()
            await self._changed.wait()


class UserProperties:
    """User properties as they go over the wire: what the MQTT client asks of properties is `pack` alone.

    Its own class checks every name and type each time, which costs more than sending the message.
    """

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self._pairs = pairs

    def pack(self) -> bytes:
        """Return the properties of a PUBLISH packet, their length in front."""
        body = b"".join(_USER_PROPERTY + _text(name) + _text(value) for name, value in self._pairs)
        return _variable(len(body)) + body


@lru_cache(maxsize=256)
def _text(text: str) -> bytes:
    octets = text.encode()
    return len(octets).to_bytes(2, "big") + octets


def _variable(length: int) -> bytes:
    """Return an MQTT variable byte integer."""
    octets = bytearray()
    while True:
        length, low = divmod(length, 128)
        octets.append(low | (0x80 if length else 0))
        if not length:
            return bytes(octets)
