"""Samples in PostgreSQL's binary form of COPY, packed by columns: many times cheaper than row by row."""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import repeat
from operator import attrgetter, sub
from typing import Final

import numpy as np
import numpy.typing as npt

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Where PostgreSQL counts microseconds from."""
FIRST_WEEK: Final = date(2000, 1, 3)
COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TAIL: Final = b"\xff\xff"

_WEEK_US: Final = 7 * 86_400_000_000
_FIRST_WEEK_US: Final = 2 * 86_400_000_000
_FLOAT8_OID: Final = 701
_PARTS: Final = (attrgetter("days"), attrgetter("seconds"), attrgetter("microseconds"))
_NULL: Final = struct.pack(">i", -1)

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Shape:
    """Rows whose numbers stand in the same slots. `slots` counts from 1 and names each slot once.

    `count` is how many there are, `size` how many bytes a packed row has.
    """

    def __init__(self, slots: Sequence[int]) -> None:
        self.slots = tuple(slots)
        self.count = len(self.slots)
        self._template, self._kind = _template(self.slots)
        self.size = self._kind.itemsize

    def pack(self, machine_ids: Integers, ts_us: Integers, arrived_us: Integers, values: Floats) -> bytes:
        """Return rows as COPY takes them. `values` has a row for each, a column for each of `slots`."""
        cells = np.tile(self._template, len(machine_ids)).view(self._kind)
        cells["machine_id"] = machine_ids
        cells["ts"] = ts_us
        cells["arrived"] = arrived_us
        for column in range(self.count):
            cells[f"value_{column}"] = values[:, column]
        return cells.tobytes()


def _template(slots: tuple[int, ...]) -> tuple[npt.NDArray[np.uint8], np.dtype[np.void]]:
    """Return one packed row with everything but its numbers, and where those go in it."""
    count = max(slots)
    column_of = {slot: column for column, slot in enumerate(slots)}
    elements = bytearray()
    offsets = [0] * len(slots)
    # dimensions, whether there are nulls, element type, length, first index
    head = struct.pack(">iiiii", 1, int(count > len(slots)), _FLOAT8_OID, count, 1)
    start = 2 + 8 + 12 + 12 + 4 + len(head)
    for slot in range(1, count + 1):
        if slot in column_of:
            offsets[column_of[slot]] = start + len(elements) + 4
            elements += struct.pack(">id", 8, 0.0)
        else:
            elements += _NULL
    array = head + elements
    row = struct.pack(">hiiiqiqi", 4, 4, 0, 8, 0, 8, 0, len(array)) + array
    kind = np.dtype(
        {
            "names": ["machine_id", "ts", "arrived", *(f"value_{column}" for column in range(len(slots)))],
            "formats": [">i4", ">i8", ">i8", *repeat(">f8", len(slots))],
            "offsets": [6, 14, 26, *offsets],
            "itemsize": len(row),
        }
    )
    return np.frombuffer(row, np.uint8), kind


def microseconds(times: Iterable[datetime]) -> Integers:
    """Return aware times as microseconds since EPOCH, exactly."""
    since = list(map(sub, times, repeat(EPOCH)))
    # numpy takes a list of spans of time as well, four times slower.
    days, seconds, rest = (np.fromiter(map(part, since), np.int64, len(since)) for part in _PARTS)
    return (days * 86_400 + seconds) * 1_000_000 + rest


def mondays(times_us: Integers) -> set[date]:
    """Return the Mondays of the weeks, in UTC, that the times lie in."""
    numbers = np.unique((times_us - _FIRST_WEEK_US) // _WEEK_US)
    return {FIRST_WEEK + timedelta(weeks=number) for number in numbers.tolist()}
