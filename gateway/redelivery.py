"""Knows a message again that was committed and not acknowledged, where its content alone cannot tell.

A message that carries its time is the same reading when it comes again. One that got the time of its arrival
would get another: it is known by its packet id and a hash, which are committed with it. The broker gives
packet ids out in a ring of 65,535, so what is remembered must stay well below one turn of it.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

REMEMBERED: Final = 20_000
"""Messages of a session that are remembered; more than the broker has under way at once."""


def content_hash(topic: str, payload: bytes) -> int:
    """Return 64 bits, signed, of what a message said and where."""
    digest = hashlib.blake2b(topic.encode(), digest_size=8)
    digest.update(b"\0")
    digest.update(payload)
    return int.from_bytes(digest.digest(), "big", signed=True)


class Committed:
    """Packet ids and hashes of the last untimed messages of one session that were committed."""

    def __init__(self) -> None:
        self._hash_of: dict[int, int] = {}
        self._batches: deque[tuple[int, dict[int, int]]] = deque()
        self._messages = 0

    def __bool__(self) -> bool:
        """Whether anything is remembered."""
        return bool(self._hash_of)

    def restore(self, hashes: Mapping[int, int]) -> None:
        """Put back what the database remembers."""
        self.note(hashes.items(), len(hashes))

    def forget(self) -> None:
        """Begin anew: the broker has begun a new session, and counts anew."""
        self._hash_of.clear()
        self._batches.clear()
        self._messages = 0

    def has(self, mid: int, content: int) -> bool:
        """Whether this very message was committed."""
        return self._hash_of.get(mid) == content

    def note(self, untimed: Iterable[tuple[int, int]], messages: int) -> None:
        """Remember the untimed of a batch that used up `messages` packet ids; forget the oldest batches."""
        batch = dict(untimed)
        self._hash_of.update(batch)
        self._batches.append((messages, batch))
        self._messages += messages
        while self._messages > REMEMBERED and len(self._batches) > 1:
            count, old = self._batches.popleft()
            self._messages -= count
            for mid, content in old.items():
                if self._hash_of.get(mid) == content:
                    del self._hash_of[mid]
