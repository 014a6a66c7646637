"""Messages that are missing: counted when that has lasted a while, taken off when they come. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from gateway.marks import Stretch, count, holes, overlap
from gateway.store import SourceMark

PATIENCE: Final = timedelta(seconds=8)
"""A message this long overdue is missing; with what it takes to notice, within 10 s."""
TOLD_EVERY: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Gap:
    """What to tell of a client: what is `missing` since the last time, and what of it came after all."""

    client: str
    boot: str
    missing: tuple[Stretch, ...]
    filled: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class _Hole:
    where: Stretch
    since: datetime
    counted: bool


@dataclass(slots=True)
class _Client:
    mark: SourceMark
    known: list[_Hole] = field(default_factory=list)
    missing: list[Stretch] = field(default_factory=list)
    filled: list[Stretch] = field(default_factory=list)
    told_at: datetime | None = None


class Holes:
    """The holes of all clients. What is missing when a client begins a new boot stays counted."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client] = {}
        self._open: set[str] = set()
        self._missing: Counter[str] = Counter()

    @property
    def missing(self) -> Mapping[str, int]:
        """How many messages of each client are missing, since this was made."""
        return MappingProxyType(self._missing)

    def take(self, mark: SourceMark, first: int, now: datetime) -> None:
        """Take in how a client's current boot stands; what is missing below `first` will never come.

        What a source gave up before it was first heard of is nobody's loss here.
        """
        client = self._clients.setdefault(mark.client, _Client(mark))
        if client.mark.boot != mark.boot:
            client.mark, client.known = mark, []
        there = holes(mark)
        places = [hole.where for hole in client.known]
        counted = [hole.where for hole in client.known if hole.counted]
        if first > client.mark.seq + 1:
            given_up = _without([(client.mark.seq + 1, first - 1)], client.mark.above)
            for where in _without(given_up, counted):
                self._count(client, where)
        for low, high in _without(counted, there):
            if (came := (max(low, first), high))[0] <= high:
                client.filled.append(came)
                self._missing[mark.client] -= count([came])
        known = [
            _Hole(where, client.known[at].since, client.known[at].counted)
            for at, where in overlap(places, there)
        ]
        known += [_Hole(where, now, counted=False) for where in _without(there, places)]
        client.known = sorted(known, key=lambda hole: hole.where)
        client.mark = mark
        if client.known or client.missing or client.filled:
            self._open.add(mark.client)

    def news(self, now: datetime) -> list[Gap]:
        """Count what has been missing long enough; return what to tell, of a client at most every 10 s."""
        found = []
        for name in sorted(self._open):
            client = self._clients[name]
            for at, hole in enumerate(client.known):
                if not hole.counted and now - hole.since >= PATIENCE:
                    client.known[at] = _Hole(hole.where, hole.since, counted=True)
                    self._count(client, hole.where)
            if (client.missing or client.filled) and (
                client.told_at is None or now - client.told_at >= TOLD_EVERY
            ):
                client.told_at = now
                found.append(
                    Gap(client.mark.client, client.mark.boot, tuple(client.missing), tuple(client.filled))
                )
                client.missing, client.filled = [], []
            if not (client.known or client.missing or client.filled):
                self._open.discard(name)
        return found

    def _count(self, client: _Client, where: Stretch) -> None:
        client.missing.append(where)
        self._missing[client.mark.client] += count([where])


def _without(some: Sequence[Stretch], others: Sequence[Stretch]) -> list[Stretch]:
    """Return the parts of stretches that are in none of the others, in order."""
    found: list[Stretch] = []
    taken: dict[int, list[Stretch]] = {}
    for at, part in overlap(some, others):
        taken.setdefault(at, []).append(part)
    for at, (low, high) in enumerate(some):
        for first, last in taken.get(at, ()):
            if low < first:
                found.append((low, first - 1))
            low = last + 1  # noqa: PLW2901  what is left of it
        if low <= high:
            found.append((low, high))
    return found
