"""Messages that are missing: counted when that has lasted a while, taken off when they come. Pure."""

from collections import Counter
from collections.abc import Mapping
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
    boot: str
    known: list[_Hole] = field(default_factory=list)
    missing: list[Stretch] = field(default_factory=list)
    filled: list[Stretch] = field(default_factory=list)
    told_at: datetime | None = None


class Holes:
    """The holes of all clients. What is missing when a client begins a new boot stays counted."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client] = {}
        self._missing: Counter[str] = Counter()

    @property
    def missing(self) -> Mapping[str, int]:
        """How many messages of each client are missing, since this was made."""
        return MappingProxyType(self._missing)

    def take(self, mark: SourceMark, first: int, now: datetime) -> None:
        """Take in how a client's current boot stands; what is missing below `first` will never come."""
        client = self._clients.setdefault(mark.client, _Client(mark.boot))
        if client.boot != mark.boot:
            client.boot, client.known = mark.boot, []
        there = holes(mark)
        places = [hole.where for hole in client.known]
        still = list(overlap(places, there))
        for hole in client.known:
            self._settle(client, mark.client, hole, there, first)
        known = [_Hole(where, client.known[at].since, client.known[at].counted) for at, where in still]
        known += [_Hole(where, now, counted=False) for where in _without(there, places)]
        client.known = sorted(known, key=lambda hole: hole.where)

    def news(self, now: datetime) -> list[Gap]:
        """Count what has been missing long enough; return what to tell, of a client at most every 10 s."""
        found = []
        for name, client in self._clients.items():
            for at, hole in enumerate(client.known):
                if not hole.counted and now - hole.since >= PATIENCE:
                    client.known[at] = _Hole(hole.where, hole.since, counted=True)
                    self._count(client, name, hole.where)
            if (client.missing or client.filled) and (
                client.told_at is None or now - client.told_at >= TOLD_EVERY
            ):
                client.told_at = now
                found.append(Gap(name, client.boot, tuple(client.missing), tuple(client.filled)))
                client.missing, client.filled = [], []
        return found

    def _settle(self, client: _Client, name: str, hole: _Hole, there: list[Stretch], first: int) -> None:
        """Count what became of the parts of a hole that are holes no more: they came, or were given up."""
        for low, high in _without([hole.where], there):
            lost, came = (low, min(high, first - 1)), (max(low, first), high)
            if lost[0] <= lost[1] and not hole.counted:
                self._count(client, name, lost)
            if came[0] <= came[1] and hole.counted:
                client.filled.append(came)
                self._missing[name] -= count([came])

    def _count(self, client: _Client, name: str, where: Stretch) -> None:
        client.missing.append(where)
        self._missing[name] += count([where])


def _without(some: list[Stretch], others: list[Stretch]) -> list[Stretch]:
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
