"""Minutes of machines to be rolled up again: noted by who writes late rows, cut to size by the roller."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.store.database import Cursor, fetch
from gateway.store.levels import LEVELS
from gateway.store.packing import EPOCH
from gateway.store.queries import query

_MINUTE: Final = timedelta(minutes=1)
_MINUTE_US: Final = 60_000_000
_APART_US: Final = 2 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """Whole minutes [start, end) of a machine."""

    machine_id: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class _Row:
    ts: datetime


async def note_dirty(
    cursor: Cursor, machine_ids: npt.NDArray[np.integer[Any]], ts_us: npt.NDArray[np.int64]
) -> None:
    """Note that rows are written, in the transaction that writes them and as the last thing in it.

    `ts_us` are microseconds since `packing.EPOCH`. Costs one question where nothing is late.
    """
    if not len(ts_us):
        return
    await cursor.execute(query("hold_frontier"))
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101  a function always answers
    frontier_us = (row[0] - EPOCH) // timedelta(microseconds=1)
    late = ts_us < frontier_us
    if late.any():
        await note_spans(cursor, dirty_spans(machine_ids[late], ts_us[late]))


def dirty_spans(machine_ids: npt.NDArray[np.integer[Any]], ts_us: npt.NDArray[np.int64]) -> list[Span]:
    """Return the minutes of each machine that rows lie in, those close to each other as one span."""
    order = np.lexsort((ts_us, machine_ids))
    ids, times = machine_ids[order], ts_us[order] // _MINUTE_US * _MINUTE_US
    begins = np.ones(len(ids), bool)
    begins[1:] = (ids[1:] != ids[:-1]) | (np.diff(times) > _APART_US)
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(ids)) - 1
    columns = zip(ids[first].tolist(), times[first].tolist(), times[last].tolist(), strict=True)
    return [
        Span(machine_id, EPOCH + timedelta(microseconds=start), EPOCH + timedelta(microseconds=end) + _MINUTE)
        for machine_id, start, end in columns
    ]


def cut(spans: Sequence[Span], most_minutes: int) -> tuple[list[Span], list[Span]]:
    """Return the first minutes of some spans, `most_minutes` in all, and what is left."""
    now: list[Span] = []
    later: list[Span] = []
    for span in spans:
        until = min(span.end, span.start + max(most_minutes, 0) * _MINUTE)
        most_minutes -= (until - span.start) // _MINUTE
        if span.start < until:
            now.append(Span(span.machine_id, span.start, until))
        if until < span.end:
            later.append(Span(span.machine_id, until, span.end))
    return now, later


async def note_spans(cursor: Cursor, spans: Sequence[Span]) -> None:
    """Note spans to be rolled up again."""
    if not spans:
        return
    values = {
        "machine_ids": [one.machine_id for one in spans],
        "from_ts": [one.start for one in spans],
        "to_ts": [one.end for one in spans],
    }
    await cursor.execute(query("note_dirty"), values)


async def from_next_row(cursor: Cursor, span: Span) -> Span:
    """Return a span without the minutes before its first row: there may be years of them."""
    values = {"machine_id": span.machine_id, "start": span.start, "end": span.end}
    first = next(iter(await fetch(cursor, _Row, "next_row", **values)), None)
    return Span(span.machine_id, span.end if first is None else LEVELS[0].floor(first.ts), span.end)
