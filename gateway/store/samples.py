"""Rows of a batch as columns: checked, each time of a machine once, packed for COPY. No I/O here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np

from broker.telemetry import Row
from gateway.store.errors import BadRowsError
from gateway.store.packing import COPY_HEAD, COPY_TAIL, EPOCH, Floats, Integers, Shape, microseconds, mondays

AHEAD: Final = timedelta(days=8)
"""How far after its arrival a reading may lie, so that a wrong clock makes no tables of years to come."""

_US: Final = timedelta(microseconds=1)
_DAY_US: Final = timedelta(days=1) // _US


class Layout(NamedTuple):
    """Where the numbers of a machine's row go, in the order in which the row has them."""

    machine_id: int
    shape: Shape


@lru_cache(maxsize=65_536)
def shape_of(slots: tuple[int, ...]) -> Shape:
    """Return the shape of rows with these slots: one for all machines alike."""
    return Shape(slots)


class Columns:
    """The rows of a batch, still without their places in the database.

    Raises BadRowsError where some of them can never be stored: not finite, from before EPOCH, more than
    AHEAD after they arrived, or more than `kept_days` before.
    """

    def __init__(self, rows: Sequence[Row], kept_days: int | None = None) -> None:
        self._rows = rows = [row for row in rows if row.metrics]
        self.ts_us = microseconds(row.ts for row in rows)
        self.arrived_us = microseconds(row.arrived for row in rows)
        values = [row.values for row in rows]
        self.widths = np.fromiter(map(len, values), np.int64, len(rows))
        self.starts = np.cumsum(self.widths) - self.widths
        self.readings = int(self.widths.sum())
        self.values = np.fromiter(chain.from_iterable(values), np.float64, self.readings)
        self._check(kept_days)

    def _check(self, kept_days: int | None) -> None:
        bad = (self.ts_us < 0) | (self.ts_us > self.arrived_us + AHEAD // _US)
        if kept_days is not None:
            bad |= self.ts_us < self.arrived_us - kept_days * _DAY_US
        finite = np.isfinite(self.values)
        if not finite.all():
            bad |= ~np.logical_and.reduceat(finite, self.starts)
        if bad.any():
            wrong = [self._rows[number] for number in np.flatnonzero(bad).tolist()]
            first = wrong[0]
            cells = zip(first.metrics, first.values, strict=True)
            numbers = ", ".join(f"{name[:80]} = {value}" for name, value in cells)
            kept = "" if kept_days is None else f" nor more than the {kept_days} days kept before"
            msg = (
                f"{first.machine} {numbers[:200]} at {first.ts} cannot be kept: readings are finite, from "
                f"{EPOCH.year} on, not later than {AHEAD.days} days after they arrived{kept}"
            )
            raise BadRowsError(msg, wrong)

    def mondays(self) -> set[date]:
        """Return the weeks the rows lie in."""
        return mondays(self.ts_us)

    def layout_keys(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return machine and metrics of each row: what its layout hangs on."""
        return [(row.machine, row.metrics) for row in self._rows]

    def placed(self, layouts: Sequence[Layout]) -> "Placed":
        """Return the rows as they go into the database; `layouts` has one for each of `layout_keys`."""
        count = len(layouts)
        shapes = list(map(attrgetter("shape"), layouts))
        kinds = list(dict.fromkeys(shapes))
        number_of = {shape: number for number, shape in enumerate(kinds)}
        placed = Placed(
            kinds,
            np.fromiter(map(attrgetter("machine_id"), layouts), np.int64, count),
            self.ts_us,
            self.arrived_us,
            np.fromiter(map(number_of.__getitem__, shapes), np.int64, count),
            self.starts,
            self.values,
        )
        return placed.once()


@dataclass(slots=True)
class Placed:
    """Rows by machine id and slot: of each row the time, which of `shapes` it has, where its values start."""

    shapes: list[Shape]
    machine_ids: Integers
    ts_us: Integers
    arrived_us: Integers
    kinds: Integers
    starts: Integers
    values: Floats

    def __len__(self) -> int:
        return len(self.machine_ids)

    @property
    def readings(self) -> int:
        """How many readings the rows have."""
        counts = np.fromiter((shape.count for shape in self.shapes), np.int64, len(self.shapes))
        return int(counts[self.kinds].sum())

    def once(self) -> "Placed":
        """Return the rows sorted, each (machine, time) once: several are one, in a slot the first wins."""
        order = np.lexsort((self.ts_us, self.machine_ids))  # stable: in the order of the batch
        ids, ts = self.machine_ids[order], self.ts_us[order]
        again = np.zeros(len(order), bool)
        again[1:] = (ids[1:] == ids[:-1]) & (ts[1:] == ts[:-1])
        if not again.any():
            return self._picked(order)
        return self._folded(order, np.flatnonzero(~again))

    def _picked(self, rows: Integers) -> "Placed":
        return Placed(
            self.shapes,
            self.machine_ids[rows],
            self.ts_us[rows],
            self.arrived_us[rows],
            self.kinds[rows],
            self.starts[rows],
            self.values,
        )

    def _folded(self, order: Integers, firsts: Integers) -> "Placed":
        """Return a row for each stretch of `order`; `firsts` are where those begin."""
        number_of = {shape: number for number, shape in enumerate(self.shapes)}
        folded = self._picked(order[firsts])
        more: list[float] = []
        ends = np.append(firsts[1:], len(order))
        for row in np.flatnonzero(ends - firsts > 1).tolist():
            cells: dict[int, float] = {}
            for member in order[firsts[row] : ends[row]].tolist():
                for slot, value in self._cells(member):
                    cells.setdefault(slot, value)
            slots = sorted(cells)
            folded.kinds[row] = number_of.setdefault(shape_of(tuple(slots)), len(number_of))
            folded.starts[row] = len(self.values) + len(more)
            more.extend(cells[slot] for slot in slots)
        folded.shapes = list(number_of)
        folded.values = np.append(self.values, more)
        return folded

    def _cells(self, row: int) -> Iterator[tuple[int, float]]:
        shape = self.shapes[self.kinds[row]]
        start = int(self.starts[row])
        return zip(shape.slots, self.values[start : start + shape.count].tolist(), strict=True)

    def packed(self) -> bytes:
        """Return the rows in the form of COPY, in their order."""
        if len(self.shapes) == 1:
            return COPY_HEAD + self._of_shape(self.shapes[0], slice(None)) + COPY_TAIL
        pieces = [b""] * len(self)
        for number, shape in enumerate(self.shapes):
            rows = np.flatnonzero(self.kinds == number)
            data = self._of_shape(shape, rows)
            for place, start in zip(rows.tolist(), range(0, len(data), shape.size), strict=True):
                pieces[place] = data[start : start + shape.size]
        return b"".join([COPY_HEAD, *pieces, COPY_TAIL])

    def _of_shape(self, shape: Shape, rows: Integers | slice) -> bytes:
        places = self.starts[rows][:, None] + np.arange(shape.count)
        return shape.pack(
            self.machine_ids[rows], self.ts_us[rows], self.arrived_us[rows], self.values[places]
        )
