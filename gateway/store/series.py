"""Series of readings, raw or in buckets."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.store.database import Cursor, Database, fetch
from gateway.store.levels import LEVELS
from gateway.store.pieces import Piece, Settled, plan, usable
from gateway.store.queries import query
from gateway.store.rollups import RollupState
from gateway.store.rows import Point, Series

_HOURS: Final = LEVELS[2:3]


@dataclass(frozen=True, slots=True)
class _Unsettled:
    minutes: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Past:
    """A series over time, oldest first: its readings as they came where `raw`, else buckets that have any."""

    raw: bool
    points: list[Point]


class SeriesReads(Database):
    """Reads series."""

    async def series(self, machine: str) -> list[Series]:
        """Return the series of a machine by metric; none where the machine was never seen."""
        return await self._all(Series, "series_of", machine=machine)

    async def past(
        self,
        wanted: Sequence[Series],
        start: datetime,
        end: datetime,
        points: int,
        width: timedelta,
        origin: datetime,
    ) -> dict[int, Past]:
        """Return by id what series of a machine were in [start, end), raw where that is at most `points`.

        Buckets are `width` wide and counted from `origin`: a Monday's midnight in UTC or, for a single one,
        `start`. The first and the last may reach beyond [start, end), but only readings within are
        counted. Readings that came late are in it once their batch is stored, whether rolled up or not.
        """
        if not wanted:
            return {}
        async with self.transaction() as cursor:
            settled = await _settled(cursor, wanted, start, end)
            single = origin == start and width >= end - start
            levels = LEVELS if single else usable(width)
            found = await _buckets(cursor, wanted, plan(start, end, settled, levels), width, origin)
            few = [one for one in wanted if sum(point.count for point in found[one.id]) <= points]
            raw = await _readings(cursor, few, plan(start, end, settled, _HOURS))
        return {
            one.id: Past(raw=True, points=raw[one.id])
            if one in few
            else Past(raw=False, points=found[one.id])
            for one in wanted
        }


async def _settled(cursor: Cursor, wanted: Sequence[Series], start: datetime, end: datetime) -> Settled:
    # First how far it is done: what becomes dirty after that is not in what is read later either.
    (state,) = await fetch(cursor, RollupState, "rollup_state")
    unsettled = await fetch(
        cursor,
        _Unsettled,
        "unsettled",
        machine_id=wanted[0].machine_id,
        series_ids=[one.id for one in wanted],
        levels=[one.minutes for one in LEVELS[1:]],
        start=start,
        end=end,
    )
    stretches: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    for one in unsettled:
        stretches[one.minutes].append((one.start, one.end))
    done = {level.minutes: getattr(state, level.done) for level in LEVELS}
    return Settled(done, stretches.pop(0, []), stretches)


async def _readings(
    cursor: Cursor, wanted: Sequence[Series], pieces: Sequence[Piece]
) -> dict[int, list[Point]]:
    """Return the readings of series, each as a point of its own. `pieces` are of hours or of readings."""
    found: dict[int, list[Point]] = defaultdict(list)
    if wanted:
        for hours, name in ((False, "rows_of_stretches"), (True, "rows_of_hours")):
            some = [piece for piece in pieces if (piece.level is not None) == hours]
            if some:
                await cursor.execute(query(name), _asked(wanted, some), binary=True)
                for series_id, ts, value in await cursor.fetchall():
                    found[series_id].append(Point(ts, value, value, value, 1))
    for points in found.values():
        points.sort(key=lambda point: point.ts)
    return found


async def _buckets(
    cursor: Cursor, wanted: Sequence[Series], pieces: Sequence[Piece], width: timedelta, origin: datetime
) -> dict[int, list[Point]]:
    parts: dict[tuple[int, datetime], list[_Part]] = defaultdict(list)
    for level in (None, *LEVELS) if wanted else ():
        some = [piece for piece in pieces if piece.level == level]
        if not some:
            continue
        statement = query("history_of_rows" if level is None else "history_of_level")
        if level is not None:
            statement = statement.replace(b"rollup_level", level.table.encode())
        values = _asked(wanted, some) | {"width": width, "origin": origin}
        await cursor.execute(statement, values, binary=True)
        for series_id, bucket, low, high, count, total in await cursor.fetchall():
            parts[series_id, bucket].append((low, high, count, total))
    found: dict[int, list[Point]] = defaultdict(list)
    for (series_id, bucket), some_parts in sorted(parts.items()):
        found[series_id].append(_point(bucket, some_parts))
    return found


_Part = tuple[float, float, int, float]
"""Smallest, largest, number and sum of some readings of a bucket."""


def _point(bucket: datetime, parts: Iterable[_Part]) -> Point:
    lows, highs, counts, sums = zip(*parts, strict=True)
    low, high, count = min(lows), max(highs), sum(counts)
    mean = sum(sums) / count
    # The last digit of a sum may leave what it is a mean of; a sum beyond all bounds tells nothing.
    return Point(bucket, low, high if math.isnan(mean) else min(high, max(low, mean)), high, count)


def _asked(wanted: Sequence[Series], pieces: Sequence[Piece]) -> dict[str, Any]:
    return {
        "machine_id": wanted[0].machine_id,
        "series_ids": [one.id for one in wanted],
        "slots": [one.slot for one in wanted],
        "starts": [one.start for one in pieces],
        "ends": [one.end for one in pieces],
        "first": pieces[0].start,
        "last": pieces[-1].end,
    }
