"""From which tables history is read: coarse buckets where they are whole and final, else finer ones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.store.levels import LEVELS, Level

Stretch = tuple[datetime, datetime]
"""From a time on, until before another."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch [start, end) to be read from the table of a level; from the readings where that is None."""

    level: Level | None
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What of the rollups can be believed: what is before `done`, but for what overlaps `dirty` or `stale`.

    `stale` has, by their minutes, the buckets in which something finer has changed; a stale bucket makes all
    coarser ones around it stale too.
    """

    done: Mapping[int, datetime]
    dirty: Sequence[Stretch] = ()
    stale: Mapping[int, Sequence[Stretch]] = field(default_factory=dict)

    def doubts(self, level: Level) -> list[Stretch]:
        """Return what of a level must not be used, in order."""
        stale = [one for minutes, some in self.stale.items() if minutes <= level.minutes for one in some]
        return sorted([*self.dirty, *stale])


def usable(width: timedelta) -> tuple[Level, ...]:
    """Return the levels whose buckets never lie in two buckets of a width, finest first."""
    return tuple(one for one in LEVELS if width % one.width == timedelta())


def plan(start: datetime, end: datetime, settled: Settled, levels: Sequence[Level]) -> list[Piece]:
    """Return pieces that follow each other from `start` to `end` without a gap: as coarse as can be.

    `levels` are those that may be used, finest first.
    """
    if start >= end:
        return []
    if not levels:
        return [Piece(None, start, end)]
    *finer, level = levels
    pieces: list[Piece] = []
    at = start
    last = min(level.floor(end), settled.done[level.minutes])
    for since, until in _without(level.ceil(start), last, level, settled.doubts(level)):
        pieces += plan(at, since, settled, finer)
        pieces.append(Piece(level, since, until))
        at = until
    return pieces + plan(at, end, settled, finer)


def _without(start: datetime, end: datetime, level: Level, doubts: Iterable[Stretch]) -> Iterator[Stretch]:
    """Give what is left of [start, end) without the buckets that doubts touch."""
    at = start
    for since, until in doubts:
        if until <= at or since >= end:
            continue
        if at < level.floor(since):
            yield at, level.floor(since)
        at = max(at, level.ceil(until))
    if at < end:
        yield at, end
