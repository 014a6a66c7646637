"""Batches into the database: all of a batch in one transaction, doubles harmless."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from weakref import WeakSet

import psycopg

from broker.telemetry import State
from gateway.store.catalogue import Key, Name, lay_out
from gateway.store.database import Cursor, fetch, translated
from gateway.store.dirty import note_dirty
from gateway.store.errors import BadBatchError, BadRowsError, BadValueError, StoreUnavailableError
from gateway.store.keeping import Upkeep
from gateway.store.numbering import add_numbers, add_redelivery
from gateway.store.packing import EPOCH, Integers
from gateway.store.queries import query
from gateway.store.rows import Batch, RejectedRow, Written
from gateway.store.samples import Columns, Layout, Placed
from gateway.store.states import Field, changes

CAREFUL_BATCHES: Final = 20
"""After one that held what was there already: where that is so, it is likely to be so again."""
MOST_LAYOUTS: Final = 200_000
"""Kept in memory; machines that send ever new sets of metrics make it begin anew."""


Add = Callable[[Cursor, Placed], Awaitable[int]]


class _NotNewError(Exception):
    """Some of the rows are in the database already, or being written by somebody else."""


@dataclass(slots=True)
class _Known:
    """What the database is known to hold; filled after a commit, never before."""

    layouts: dict[Key, Layout]
    machines: set[str]
    weeks: set[date]
    states: dict[Field, State]


class Writing(Upkeep):
    """Writes samples, states, refusals, and what marks their messages as stored."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._known = _Known({}, set(), set(), {})
        self._with_pending: WeakSet[Any] = WeakSet()
        self._careful = 0
        self._one_at_a_time = asyncio.Lock()

    async def write(self, batch: Batch) -> Written:
        """Store a batch, all or nothing. What is there already stays as it is and counts as doubled.

        Raises BadBatchError when some of it can never be stored, StoreTooSlowError when the batch took longer
        than a statement may (halve it), StoreUnavailableError within a second when the database is away; what
        was sent before may then be stored or not, and is written again safely. Several may run at once. Those
        with states wait for each other: whether a text is a change depends on the one before it.
        """
        async with self._one_at_a_time if batch.states else nullcontext():
            return await self._write_knowing(batch)

    async def _write_knowing(self, batch: Batch) -> Written:
        try:
            with translated():
                columns = Columns(batch.rows, self.keeping.samples_days)
        except BadRowsError as error:
            raise BadBatchError(str(error), error.rows) from error
        except BadValueError as error:
            raise BadBatchError(str(error)) from error
        try:
            return await self._write_anyhow(batch, columns)
        except BadValueError:
            # Somebody else may have dropped what we believe to be there.
            self._forget()
        try:
            return await self._write_anyhow(batch, columns)
        except BadValueError as error:
            raise BadBatchError(str(error)) from error

    async def _write_anyhow(self, batch: Batch, columns: Columns) -> Written:
        """Write as if all were new, which is nearly always so, and else carefully."""
        try:
            if not self._careful:
                with suppress(_NotNewError):
                    return await self._write(batch, columns, _add_new)
                self._careful = CAREFUL_BATCHES
            self._careful -= 1
            return await self._write(batch, columns, self._add_or_merge)
        except StoreUnavailableError:
            self._forget()
            raise

    def _forget(self) -> None:
        self._known = _Known({}, set(), set(), {})

    async def _write(self, batch: Batch, columns: Columns, add: Add) -> Written:
        known = self._known
        await self._make_weeks(columns.mondays() - known.weeks)
        keys = columns.layout_keys()
        layouts = known.layouts
        found: dict[Key, Layout] = {}
        new_machines: tuple[str, ...] = ()
        new_series: tuple[Name, ...] = ()
        missing = _missing(keys, layouts)
        first_seen = _first_seen(batch, {key[0] for key in missing}, known.machines)
        async with self.transaction() as cursor:
            if missing or first_seen:
                found, new_machines, new_series = await lay_out(cursor, sorted(missing), first_seen)
                layouts = layouts | found
            placed = columns.placed(list(map(layouts.__getitem__, keys)))
            stored = await add(cursor, placed) if len(placed) else 0
            kept, last = await self._add_states(cursor, known, batch.states)
            await _add_rejected(cursor, batch.rejected)
            await add_numbers(cursor, batch.numbers)
            await add_redelivery(cursor, batch.redelivery)
            await note_dirty(cursor, placed.machine_ids, placed.ts_us)
        if len(placed) and add != _add_new:
            self._with_pending.add(cursor.connection)
        if len(known.layouts) + len(found) > MOST_LAYOUTS:
            known.layouts = {}  # another one: whoever writes just now still needs the old
        known.layouts.update(found)
        known.machines.update(first_seen)
        known.states.update(last)
        return Written(stored, columns.readings - stored, kept, new_machines, new_series)

    async def _make_weeks(self, weeks: set[date]) -> None:
        for week in sorted(weeks):
            await self._run("make_partition", parent="sample", week=week)
            self._known.weeks.add(week)

    async def _add_or_merge(self, cursor: Cursor, placed: Placed) -> int:
        """Store what of the rows is not there; returns how many readings that were."""
        if cursor.connection not in self._with_pending:
            await cursor.execute(query("make_pending"))
        async with cursor.copy(query("copy_pending")) as copy:
            await copy.write(placed.packed())
        await cursor.execute(query("add_samples"))
        rows, stored = await _numbers(cursor)
        if rows < len(placed):
            self._careful = CAREFUL_BATCHES
            first, last = _span(placed.ts_us)
            await cursor.execute(query("merge_samples"), {"first": first, "last": last})
            stored += (await _numbers(cursor))[0]
        return stored

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


def _missing(keys: list[Key], layouts: dict[Key, Layout]) -> set[Key]:
    found = list(map(layouts.get, keys))
    if all(found):
        return set()
    return {key for key, layout in zip(keys, found, strict=True) if layout is None}


def _first_seen(batch: Batch, unknown: set[str], known: Iterable[str]) -> dict[str, datetime]:
    """Return when each machine was seen first that rows or states of the batch are of and that is new."""
    seen: dict[str, datetime] = {}
    if unknown:
        for row in batch.rows:
            if row.machine in unknown:
                seen[row.machine] = min(seen.get(row.machine, row.arrived), row.arrived)
    for state in batch.states:
        if state.machine not in known:
            seen.setdefault(state.machine, state.ts)
    return seen


async def _add_new(cursor: Cursor, placed: Placed) -> int:
    """Store rows at half the cost; returns their readings. Raises _NotNewError where one is there already."""
    try:
        async with cursor.copy(query("copy_samples")) as copy:
            await copy.write(placed.packed())
    except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected) as error:
        raise _NotNewError from error
    return placed.readings


async def _numbers(cursor: Cursor) -> tuple[int, ...]:
    """Return the only row of an answer."""
    (row,) = await cursor.fetchall()
    return row


def _span(ts_us: Integers) -> tuple[datetime, datetime]:
    return tuple(EPOCH + timedelta(microseconds=int(one)) for one in (ts_us.min(), ts_us.max()))  # type: ignore[return-value]


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
