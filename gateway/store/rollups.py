"""Readings rolled up by the minute, quarter of an hour, hour and day: always from what is stored.

Writers and the roller agree by a frontier. Whoever writes rows before it notes their minutes as dirty in
the same transaction; the roller moves it forward while no writer is between looking at it and committing. So
every row is either rolled up when its minute is over, or its minutes are dirty and are rolled up again. Each
step is one transaction: a crash leaves only work to be done.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import psycopg

from gateway.store.database import Cursor, Database, fetch
from gateway.store.dirty import Span, cut, from_next_row, note_spans
from gateway.store.errors import StoreUnavailableError
from gateway.store.levels import LEVELS, Level
from gateway.store.packing import EPOCH
from gateway.store.queries import query

DELAY: Final = timedelta(seconds=5)
"""How long a minute is waited for after its end: what comes later is dirty."""
CATCH_UP: Final = timedelta(minutes=10)
"""How far behind the roller takes all machines together; after a longer rest each is dirty by itself."""
SLICE_MINUTES: Final = 10_000
"""How many minutes of machines are rolled up in one transaction."""
STALE_AT_ONCE: Final = 20_000
MACHINES_AT_ONCE: Final = 1000
LIMIT_S: Final = 600.0
_MINUTE: Final = timedelta(minutes=1)
_REACH: Final = timedelta(days=1)  # the longest reach of an energy unit


class RollerBusyError(StoreUnavailableError):
    """Another process is rolling up; there is nothing to do here."""


@dataclass(frozen=True, slots=True)
class RolledUp:
    """What a round did: minutes of all machines, dirty spans, coarser buckets, readings read for it.

    `more` tells that work is left that need not wait for time to pass.
    """

    minutes: int = 0
    spans: int = 0
    buckets: int = 0
    readings: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class RollupState:
    """Everything before `frontier` is noted when it comes late; before `done_…` that level is there."""

    frontier: datetime
    done_1m: datetime
    done_15m: datetime
    done_1h: datetime
    done_1d: datetime


@dataclass(frozen=True, slots=True)
class _Id:
    id: int


class Rollups(Database):
    """Rolls readings up."""

    async def rollup_state(self) -> RollupState:
        """Return how far rolling up has come."""
        async with self.transaction() as cursor:
            return await _state(cursor)

    async def roll_up_again(self, machine: str | None = None) -> None:
        """Have a machine, or all, rolled up once more from the first reading on: its units have changed."""
        async with self.transaction(LIMIT_S) as cursor:
            await cursor.execute(query("no_statement_limit"))
            done = (await _state(cursor)).done_1m
            await _note_all(cursor, EPOCH, done, machine)

    async def roll_up(self, now: datetime, most_slices: int = 20) -> RolledUp:
        """Do one round: the minutes that are over, up to `most_slices` slices of what is dirty, what follows.

        Safe to cancel and safe to call from several processes at once: all but one get RollerBusyError.
        Raises StoreUnavailableError.
        """
        await self._move_frontier(now)
        minutes, readings, more = await self._roll_passed(most_slices)
        spans = buckets = 0
        for _ in range(most_slices):
            done, read, left = await self._roll_dirty()
            spans, readings = spans + done, readings + read
            if not left:
                break
        else:
            more = True
        for fine, coarse in pairwise(LEVELS):
            await self._roll_finished(fine, coarse)
            for _ in range(most_slices):
                took = await self._roll_stale(fine, coarse)
                buckets += took
                if took < STALE_AT_ONCE:
                    break
            else:
                more = True
        return RolledUp(minutes, spans, buckets, readings, more)

    async def _move_frontier(self, now: datetime) -> None:
        frontier = LEVELS[0].floor(now.astimezone(UTC) - DELAY)
        if (await self.rollup_state()).frontier >= frontier:
            return
        try:
            async with self.transaction() as cursor:
                await cursor.execute(query("wait_briefly"))
                await cursor.execute(query("lock_frontier"))
                await cursor.execute(query("move_frontier"), {"frontier": frontier})
        except StoreUnavailableError as error:
            # A writer takes long: it is waited for in the next round.
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise

    async def _roll_passed(self, most_slices: int) -> tuple[int, int, bool]:
        """Roll up the minutes that have passed; how many, their readings, whether some are left."""
        minutes = readings = 0
        for _ in range(most_slices):
            async with self._rolling() as cursor:
                state = await _state(cursor)
                start, end = state.done_1m, state.frontier
                if end - start > CATCH_UP:
                    await _note_all(cursor, start, end)
                    # The first time nothing coarser is there either: what is dirty will make it.
                    coarser = {one.done: one.floor(end) for one in LEVELS[1:]} if start <= EPOCH else {}
                    await _set_state(cursor, done_1m=end, **coarser)
                    return minutes, readings, False
                machines = [one.id for one in await fetch(cursor, _Id, "machine_ids")]
                end = min(end, start + max(1, SLICE_MINUTES // max(1, len(machines))) * _MINUTE)
                if start < end:
                    readings += await self._roll(cursor, [Span(one, start, end) for one in machines])
                    await _set_state(cursor, done_1m=end)
            minutes += (end - start) // _MINUTE
            if end == state.frontier:
                return minutes, readings, False
        return minutes, readings, True

    async def _roll_dirty(self) -> tuple[int, int, bool]:
        """Roll up a slice of what is dirty; how many spans, their readings, and whether some is left."""
        async with self._rolling() as cursor:
            state = await _state(cursor)
            taken = await fetch(cursor, Span, "take_dirty", limit=MACHINES_AT_ONCE)
            if not taken:
                return 0, 0, False
            # What is not yet done is rolled up when it has passed, by who then sees these rows.
            there = [Span(one.machine_id, one.start, min(one.end, state.done_1m)) for one in taken]
            now, later = cut([one for one in there if one.start < one.end], SLICE_MINUTES)
            later = [await from_next_row(cursor, one) for one in later]
            await note_spans(cursor, [one for one in later if one.start < one.end])
            readings = 0
            if now:
                wide = await fetch(cursor, Span, "widen_dirty", **_columns(now), done=state.done_1m)
                readings = await self._roll(cursor, wide)
            return len(now), readings, True

    async def _roll(self, cursor: Cursor, spans: list[Span]) -> int:
        if not spans:
            return 0
        values = _columns(spans)
        await _make_weeks(cursor, values["first"] - _REACH, values["last"])
        await cursor.execute(query("roll_up_minutes"), values)
        row = await cursor.fetchone()
        return 0 if row is None else int(row[0])

    async def _roll_finished(self, fine: Level, coarse: Level) -> None:
        async with self._rolling() as cursor:
            state = await _state(cursor)
            start, end = getattr(state, coarse.done), coarse.floor(getattr(state, fine.done))
            if start < end:
                values = {"start": start, "end": end, "width": coarse.width}
                await cursor.execute(_between(fine, coarse, "roll_up_finished"), values)
                await _set_state(cursor, **{coarse.done: end})

    async def _roll_stale(self, fine: Level, coarse: Level) -> int:
        following = LEVELS[min(LEVELS.index(coarse) + 1, len(LEVELS) - 1)]
        async with self._rolling() as cursor:
            state = await _state(cursor)
            values = {
                "minutes": coarse.minutes,
                "limit": STALE_AT_ONCE,
                "next_minutes": following.minutes,
                "next_done": EPOCH if following is coarse else getattr(state, following.done),
            }
            await cursor.execute(_between(fine, coarse, "roll_up_stale"), values)
            row = await cursor.fetchone()
            return 0 if row is None else int(row[0])

    @asynccontextmanager
    async def _rolling(self) -> AsyncIterator[Cursor]:
        async with self.transaction(LIMIT_S) as cursor:
            await cursor.execute(query("rollup_planning"))
            await cursor.execute(query("roller_lock"))
            if await cursor.fetchone() != (True,):
                raise RollerBusyError("another process is rolling up")
            yield cursor


def _between(fine: Level, coarse: Level, name: str) -> bytes:
    text = query(name).replace(b"rollup_fine", fine.table.encode())
    return text.replace(b"rollup_coarse", coarse.table.encode())


def _columns(spans: Sequence[Span]) -> dict[str, Any]:
    return {
        "machine_ids": [one.machine_id for one in spans],
        "starts": [one.start for one in spans],
        "ends": [one.end for one in spans],
        "first": min(one.start for one in spans),
        "last": max(one.end for one in spans),
    }


async def _state(cursor: Cursor) -> RollupState:
    (state,) = await fetch(cursor, RollupState, "rollup_state")
    return state


async def _set_state(cursor: Cursor, **done: datetime) -> None:
    values: dict[str, datetime | None] = dict.fromkeys(one.done for one in LEVELS)
    await cursor.execute(query("set_rollup_state"), values | done)


async def _note_all(cursor: Cursor, start: datetime, end: datetime, machine: str | None = None) -> None:
    await cursor.execute(query("note_all_dirty"), {"start": start, "end": end, "machine": machine})


async def _make_weeks(cursor: Cursor, start: datetime, end: datetime) -> None:
    monday = start.date() - timedelta(days=start.weekday())
    weeks = [monday + timedelta(weeks=n) for n in range((end.date() - monday).days // 7 + 1)]
    await cursor.execute(query("make_rollup_weeks"), {"weeks": weeks})
