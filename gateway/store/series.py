"""Series of readings, raw or in buckets."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.store.database import Database
from gateway.store.packing import EPOCH
from gateway.store.queries import query
from gateway.store.rows import Point, Series


@dataclass(frozen=True, slots=True)
class _Count:
    series_id: int
    readings: int


class SeriesReads(Database):
    """Reads series."""

    async def series(self, machine: str) -> list[Series]:
        """Return the series of a machine by metric; none where the machine was never seen."""
        return await self._all(Series, "series_of", machine=machine)

    async def count_up_to(
        self, series_ids: Sequence[int], start: datetime, end: datetime, limit: int
    ) -> dict[int, int]:
        """Return how many readings each series has in [start, end), or `limit` where there are more."""
        values = {"series_ids": list(series_ids), "start": start, "end": end, "limit": limit}
        return {one.series_id: one.readings for one in await self._all(_Count, "count_up_to", **values)}

    async def raw_history(
        self, series_ids: Sequence[int], start: datetime, end: datetime
    ) -> dict[int, list[Point]]:
        """Return the readings of each series in [start, end), each as a point of its own, oldest first."""
        found: dict[int, list[Point]] = defaultdict(list)
        async with self.transaction() as cursor:
            values = {"series_ids": list(series_ids), "start": start, "end": end}
            await cursor.execute(query("raw_history"), values, binary=True)
            for series_id, ts, value in await cursor.fetchall():
                found[series_id].append(Point(ts, value, value, value, 1))
        return {one: found[one] for one in series_ids}

    async def bucketed_history(
        self, series_id: int, start: datetime, end: datetime, width: timedelta, origin: datetime = EPOCH
    ) -> list[Point]:
        """Return what the readings in [start, end) come to in each bucket that has any, oldest first.

        Buckets are counted from `origin`; the first and the last may reach beyond [start, end), but only
        readings within are counted.
        """
        values = {"series_id": series_id, "start": start, "end": end, "width": width, "origin": origin}
        async with self.transaction() as cursor:
            await cursor.execute(query("bucketed_history"), values, binary=True)
            return [Point(*row) for row in await cursor.fetchall()]
