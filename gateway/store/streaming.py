"""Readings by the million, some thousand at a time: no statement is long, and none waits for a reader.

Each chunk is a statement of its own that begins where the last one ended, so a slow reader holds no
connection and no snapshot; a reading that comes meanwhile is given or not, but never twice.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.store.database import Database
from gateway.store.packing import EPOCH
from gateway.store.queries import query

WIDTHS: Final = ("1m", "15m", "1h", "1d")
_ARRAY_HEAD_BYTES: Final = 20
_UNIX_US: Final = int(EPOCH.timestamp()) * 1_000_000

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """A metric of a machine, and where its readings are."""

    series_id: int
    machine_id: int
    slot: int
    machine: str
    metric: str
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Readings or buckets as columns of one length, by time and then by `place`.

    `place` counts from 0 in what was asked for. Times are int64 microseconds since 1970, numbers float64 with
    NaN for none. `following` is where the next chunk begins, None after the last.
    """

    place: npt.NDArray[np.int32]
    columns: dict[str, Array]
    following: datetime | None


class Streaming(Database):
    """Reads what is too much to be read at once."""

    async def export_series(self, machines: Sequence[str], metrics: Sequence[str]) -> list[StoredSeries]:
        """Return the series of these machines with these metrics, by machine and metric; empty means all."""
        values = {"machines": list(machines) or None, "metrics": list(metrics) or None}
        return await self._all(StoredSeries, "export_series", **values)

    async def unknown_machines(self, machines: Sequence[str]) -> list[str]:
        """Return those of the names that no machine has."""
        async with self.transaction() as cursor:
            await cursor.execute(query("known_machines"), {"machines": list(machines)})
            known = {row[0] for row in await cursor.fetchall()}
        return [name for name in machines if name not in known]

    async def raw_chunk(
        self, machine_id: int, slots: Sequence[int], start: datetime, end: datetime, rows: int
    ) -> Chunk:
        """Return what a machine's first `rows` rows in [start, end) hold: `ts`, `value`, `arrived`."""
        values = {"machine_id": machine_id, "slots": list(slots), "start": start, "end": end, "rows": rows}
        cells = await self._only_row(query("raw_chunk"), values)
        return await asyncio.to_thread(_raw_chunk, cells, rows)

    async def rolled_chunk(
        self, width: str, series_id: int, start: datetime, end: datetime, rows: int
    ) -> Chunk:
        """Return a series' first `rows` buckets in [start, end) that are whole and rolled up.

        `width` is one of WIDTHS. The columns are `ts`, `count` (int64), `min`, `mean`, `max`, `last` and
        `energy_kwh`.
        """
        if width not in WIDTHS:
            raise ValueError(f"{width!a} is none of {', '.join(WIDTHS)}")
        # One statement for four tables that are alike but for their names.
        statement = query("rolled_chunk").replace(b"_1m", f"_{width}".encode())
        values = {"series_id": series_id, "start": start, "end": end, "rows": rows}
        cells = await self._only_row(statement, values)
        return await asyncio.to_thread(_rolled_chunk, cells, rows)

    async def _only_row(self, statement: bytes, values: dict[str, Any]) -> list[bytes | None]:
        """Return the cells of a row of one as the server sent them: arrays too long to be made lists."""
        async with self.transaction() as cursor:
            await cursor.execute(statement, values, binary=True)
            result = cursor.pgresult
            return [] if result is None else [result.get_value(0, at) for at in range(result.nfields)]


def _raw_chunk(cells: list[bytes | None], rows: int) -> Chunk:
    found, last, ts, arrived, place, value = cells
    columns = {"ts": _times(ts), "value": _numbers(value), "arrived": _times(arrived)}
    places = _array(place, ">i4").astype(np.int32) - 1
    order = np.lexsort((places, columns["ts"]))  # the server joins in whatever order is quickest
    in_order = {name: column[order] for name, column in columns.items()}
    return Chunk(places[order], in_order, _following(found, last, rows))


def _rolled_chunk(cells: list[bytes | None], rows: int) -> Chunk:
    found, last, ts, count, *numbers = cells
    names = ("min", "mean", "max", "last", "energy_kwh")
    columns: dict[str, Array] = {"ts": _times(ts), "count": _array(count, ">i4").astype(np.int64)}
    columns |= {name: _numbers(cell) for name, cell in zip(names, numbers, strict=True)}
    return Chunk(np.zeros(len(columns["ts"]), np.int32), columns, _following(found, last, rows))


def _following(found: bytes | None, last: bytes | None, rows: int) -> datetime | None:
    """Return the microsecond after the last row, where there may be more than those."""
    if last is None or int.from_bytes(found or b"", "big") < rows:
        return None
    return EPOCH + timedelta(microseconds=int.from_bytes(last, "big", signed=True) + 1)


def _times(cell: bytes | None) -> Array:
    return _array(cell, ">i8").astype(np.int64) + _UNIX_US


def _numbers(cell: bytes | None) -> Array:
    return _array(cell, ">f8").astype(np.float64)


def _array(cell: bytes | None, kind: str) -> Array:
    """Return an array of the server's that has no NULL in it; none at all is an empty one."""
    if not cell or len(cell) < _ARRAY_HEAD_BYTES:
        return np.empty(0, np.dtype(kind))
    cells = np.frombuffer(cell, dtype=[("size", ">i4"), ("value", kind)], offset=_ARRAY_HEAD_BYTES)
    return cells["value"]
