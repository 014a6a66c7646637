"""Batches into the database: all of a batch in one transaction, doubles harmless."""

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np

from broker.telemetry import State
from broker.units import unit_of
from gateway.store import packing
from gateway.store.database import Cursor, Database, fetch, translated
from gateway.store.errors import BadBatchError, BadValueError, StoreUnavailableError
from gateway.store.queries import query
from gateway.store.rows import ArrivedReading, Batch, RejectedRow, Written
from gateway.store.states import Field, changes

AHEAD: Final = timedelta(days=8)
"""How far after its arrival a reading may lie, so that a wrong clock makes no tables of years to come."""

Name = tuple[str, str]


@dataclass(slots=True)
class _Known:
    """What the database is known to hold; filled after a commit, never before."""

    series: dict[Name, int]
    machines: set[str]
    weeks: set[date]
    states: dict[Field, State]


@dataclass(frozen=True, slots=True)
class _SeriesId:
    id: int
    machine: str
    metric: str


@dataclass(frozen=True, slots=True)
class _Week:
    week: date


class Writing(Database):
    """Writes readings, states and refusals."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._known = _Known({}, set(), set(), {})
        self._one_at_a_time = asyncio.Lock()

    async def write(self, batch: Batch) -> Written:
        """Store a batch, all or nothing. What is there already stays as it is and counts as doubled.

        Raises BadBatchError when some of it can never be stored, StoreUnavailableError within a second when
        the database is away; what was sent before may then be stored or not, and is written again safely.
        Several may run at once. Those with states wait for each other: whether a text is a change depends on
        the one before it.
        """
        async with self._one_at_a_time if batch.states else nullcontext():
            return await self._write_knowing(batch)

    async def _write_knowing(self, batch: Batch) -> Written:
        try:
            return await self._write(batch)
        except StoreUnavailableError:
            self._forget()
            raise
        except BadValueError:
            # Somebody else may have dropped what we believe to be there.
            self._forget()
        try:
            return await self._write(batch)
        except BadValueError as error:
            raise BadBatchError(str(error)) from error

    async def make_partitions(self, now: datetime, weeks: int = 2) -> None:
        """Make the partitions of this week and of some to come, before the first reading needs them."""
        monday = now.astimezone(UTC).date() - timedelta(days=now.astimezone(UTC).weekday())
        await self._make_weeks({monday + timedelta(weeks=number) for number in range(weeks + 1)})

    async def drop_partitions(self, before: datetime) -> list[date]:
        """Forget the readings of all weeks that ended by `before`; returns the Mondays of these weeks."""
        found = await self._all(_Week, "partition_weeks")
        old = [one.week for one in found if one.week + timedelta(weeks=1) <= before.astimezone(UTC).date()]
        for week in old:
            self._known.weeks.discard(week)
            await self._run("drop_partition", week=week)
        return old

    def _forget(self) -> None:
        self._known = _Known({}, set(), set(), {})

    async def _write(self, batch: Batch) -> Written:
        known = self._known
        with translated():
            columns = _Columns(batch.readings)
        await self._make_weeks(columns.mondays() - known.weeks)
        names = {(one.reading.machine, one.reading.metric) for one in batch.readings}
        missing = sorted(names - known.series.keys())
        machines = {name[0] for name in missing} | {state.machine for state in batch.states}
        async with self.transaction() as cursor:
            new_machines = await _add_machines(cursor, sorted(machines - known.machines), batch)
            new_series, ids = await _add_series(cursor, missing)
            stored = await columns.store(cursor, {**known.series, **ids} if ids else known.series)
            kept, last = await self._add_states(cursor, known, batch.states)
            await _add_rejected(cursor, batch.rejected)
        known.series.update(ids)
        known.machines.update(machines)
        known.states.update(last)
        return Written(stored, len(batch.readings) - stored, kept, new_machines, new_series)

    async def _make_weeks(self, weeks: set[date]) -> None:
        for week in sorted(weeks):
            await self._run("make_partition", week=week)
            self._known.weeks.add(week)

    async def _add_states(
        self, cursor: Cursor, known: _Known, states: list[State]
    ) -> tuple[int, dict[Field, State]]:
        if not states:
            return 0, {}
        keys = {(one.machine, one.field) for one in states}
        before = {key: known.states[key] for key in keys & known.states.keys()}
        if unseen := sorted(keys - before.keys()):
            asked = {"machines": [key[0] for key in unseen], "fields": [key[1] for key in unseen]}
            found = await fetch(cursor, State, "latest_states", **asked)
            before |= {(one.machine, one.field): one for one in found}
        todo, last = changes(before, states)
        rows = [{"machine": s.machine, "field": s.field, "ts": s.ts, "text": s.text} for s in todo]
        if not rows:
            return 0, last
        await cursor.executemany(query("add_state"), rows)
        return cursor.rowcount, last


class _Columns:
    """The readings of a batch as columns, sorted so that two writers never wait for each other in a ring."""

    def __init__(self, readings: list[ArrivedReading]) -> None:
        self._readings = readings
        count = len(readings)
        self._ts = packing.microseconds((one.reading.ts for one in readings), count)
        self._arrived = packing.microseconds((one.arrived for one in readings), count)
        self._values = np.fromiter((one.reading.value for one in readings), np.float64, count)
        for number, wrong in enumerate(self._wrong()):
            if wrong:
                reading = readings[number].reading
                msg = (
                    f"{reading.machine} {reading.metric} = {reading.value} at {reading.ts} cannot "
                    f"be kept: a reading is finite, from {packing.EPOCH.year} on and not later than "
                    f"{AHEAD.days} days after it arrived"
                )
                raise BadValueError(msg)

    def _wrong(self) -> Iterable[bool]:
        ahead_us = AHEAD // timedelta(microseconds=1)
        bad = (self._ts < 0) | (self._ts > self._arrived + ahead_us) | ~np.isfinite(self._values)
        return bad.tolist() if bad.any() else ()

    def mondays(self) -> set[date]:
        """Return the weeks the readings lie in."""
        return packing.mondays(self._ts)

    async def store(self, cursor: Cursor, series: dict[Name, int]) -> int:
        """Store the readings that are not there; returns how many those were."""
        if not self._readings:
            return 0
        ids = np.fromiter(
            (series[one.reading.machine, one.reading.metric] for one in self._readings),
            np.int32,
            len(self._readings),
        )
        order = np.lexsort((self._ts, ids))  # stable: of doubles in a batch the first stays
        await cursor.execute(
            query("add_readings"),
            {
                "series_ids": packing.integers(ids[order]),
                "ts": packing.times(self._ts[order]),
                "values": packing.floats(self._values[order]),
                "arrived": packing.times(self._arrived[order]),
            },
        )
        return cursor.rowcount


async def _add_machines(cursor: Cursor, names: list[str], batch: Batch) -> tuple[str, ...]:
    if not names:
        return ()
    seen: dict[str, datetime] = {}
    for one in batch.readings:
        name = one.reading.machine
        seen[name] = min(seen.get(name, one.arrived), one.arrived)
    for state in batch.states:
        seen.setdefault(state.machine, state.ts)
    values = {"machines": names, "first_seen": [seen[name] for name in names]}
    await cursor.execute(query("add_machines"), values)
    return tuple(row[0] for row in await cursor.fetchall())


async def _add_series(cursor: Cursor, missing: list[Name]) -> tuple[tuple[Name, ...], dict[Name, int]]:
    """Make what series are missing; returns the new ones, and the ids of all of `missing`."""
    if not missing:
        return (), {}
    machines, metrics = [name[0] for name in missing], [name[1] for name in missing]
    units = [unit_of(metric) for metric in metrics]
    # Most are there after a restart, and every refused insert would use up a number.
    ids = await _find_series(cursor, machines, metrics)
    if len(ids) == len(missing):
        return (), ids
    await cursor.execute(query("add_series"), {"machines": machines, "metrics": metrics, "units": units})
    new = tuple((row[0], row[1]) for row in await cursor.fetchall())
    return new, await _find_series(cursor, machines, metrics)


async def _find_series(cursor: Cursor, machines: list[str], metrics: list[str]) -> dict[Name, int]:
    found = await fetch(cursor, _SeriesId, "find_series", machines=machines, metrics=metrics)
    return {(one.machine, one.metric): one.id for one in found}


async def _add_rejected(cursor: Cursor, rejected: list[RejectedRow]) -> None:
    if not rejected:
        return
    rows = [
        {
            "ts": row.record.ts,
            "source": _plain(row.source),
            "topic": _plain(row.record.topic),
            "reason": _plain(row.record.reason),
            "text": _plain(row.record.text),
            "field": None if row.record.field is None else _plain(row.record.field),
            "head": _plain(row.record.head),
            "size_bytes": row.record.size_bytes,
            "count": row.record.count,
        }
        for row in rejected
    ]
    await cursor.executemany(query("add_rejected"), rows)


def _plain(text: str) -> str:
    """Return a text the database can hold: a refusal is never refused itself."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
