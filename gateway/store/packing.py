"""Readings as columns, in PostgreSQL's binary form of arrays: ten times cheaper than row by row."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Where PostgreSQL counts microseconds from."""
FIRST_WEEK: Final = date(2000, 1, 3)
_WEEK_US: Final = 7 * 86_400_000_000
_FIRST_WEEK_US: Final = 2 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class Packed:
    """A whole array as the server reads it."""

    data: bytes


class Integers(Packed):
    """An `integer[]`."""


class Floats(Packed):
    """A `float8[]`."""


class Times(Packed):
    """A `timestamptz[]`."""


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Packed) -> bytes:
        return obj.data


class _IntegersDumper(_PackedDumper):
    oid = 1007


class _FloatsDumper(_PackedDumper):
    oid = 1022


class _TimesDumper(_PackedDumper):
    oid = 1185


psycopg.adapters.register_dumper(Integers, _IntegersDumper)
psycopg.adapters.register_dumper(Floats, _FloatsDumper)
psycopg.adapters.register_dumper(Times, _TimesDumper)

_INT4_OID: Final = 23
_FLOAT8_OID: Final = 701
_TIMESTAMPTZ_OID: Final = 1184


def microseconds(times: Iterable[datetime], count: int) -> npt.NDArray[np.int64]:
    """Return aware times as microseconds since EPOCH, exactly."""
    since = (time - EPOCH for time in times)
    return np.fromiter(
        ((one.days * 86_400 + one.seconds) * 1_000_000 + one.microseconds for one in since), np.int64, count
    )


def mondays(times_us: npt.NDArray[np.int64]) -> set[date]:
    """Return the Mondays of the weeks, in UTC, that the times lie in."""
    numbers = np.unique((times_us - _FIRST_WEEK_US) // _WEEK_US)
    return {FIRST_WEEK + timedelta(weeks=number) for number in numbers.tolist()}


def integers(values: npt.NDArray[np.int32]) -> Integers:
    """Pack an `integer[]`."""
    return Integers(_pack(values, ">i4", _INT4_OID))


def floats(values: npt.NDArray[np.float64]) -> Floats:
    """Pack a `float8[]`."""
    return Floats(_pack(values, ">f8", _FLOAT8_OID))


def times(times_us: npt.NDArray[np.int64]) -> Times:
    """Pack a `timestamptz[]` from microseconds since EPOCH."""
    return Times(_pack(times_us, ">i8", _TIMESTAMPTZ_OID))


def _pack(values: npt.NDArray[np.generic], kind: str, oid: int) -> bytes:
    cells = np.empty(len(values), dtype=[("size", ">i4"), ("value", kind)])
    cells["size"] = values.itemsize
    cells["value"] = values
    # dimensions, no nulls, element type, length, first index
    head = np.array([1, 0, oid, len(values), 1], dtype=">i4")
    return head.tobytes() + cells.tobytes()
