"""The last rows of many machines in arrays: raw, and as the columns that windows are made of."""

import numpy as np
from numpy.typing import NDArray

from detector.features import WINDOW_ROWS_MOST, WindowStats, mean_and_spread, window_edge_s
from detector.rows import Floats

ROWS_AT_FIRST = 32
Slots = NDArray[np.intp]
Some = Slots | slice
"""Distinct slots, or a stretch of them, which costs no copy."""


class Ring:
    """For each slot as many rows as its window ever had, 32 at first and 256 at most.

    When rows come faster than that, every slot's room is doubled; at 256 the oldest row gives way, so that
    a window is then the newest 256 rows.
    """

    def __init__(self, metrics: int, columns: int) -> None:
        rows = ROWS_AT_FIRST
        self._ts_s = np.empty((0, rows))  # infinite where there is no row, or one that left the window
        self._values = np.empty((0, rows, metrics))
        self._columns = np.empty((0, columns, rows))  # 0 where a column has no value
        self._there = np.empty((0, columns, rows), bool)
        self._count = np.empty((0, columns))  # whole numbers, so that adding and taking away stays exact
        self._next = np.empty(0, np.intp)

    @property
    def memory_bytes(self) -> int:
        """How much the arrays take."""
        return sum(one.nbytes for one in vars(self).values())

    def resize(self, slots: int) -> None:
        """Make room for so many slots."""
        more, (rows, metrics) = slots - len(self._next), self._values.shape[1:]
        columns = self._count.shape[1]
        self._ts_s = np.concatenate([self._ts_s, np.full((more, rows), np.inf)])
        self._values = np.concatenate([self._values, np.zeros((more, rows, metrics))])
        self._columns = np.concatenate([self._columns, np.zeros((more, columns, rows))])
        self._there = np.concatenate([self._there, np.zeros((more, columns, rows), bool)])
        self._count = np.concatenate([self._count, np.zeros((more, columns))])
        self._next = np.concatenate([self._next, np.zeros(more, np.intp)])

    def fill(self, slot: int, ts_s: Floats, values: Floats, columns: Floats) -> None:
        """Make these rows (n), which are in one window, all there is of a slot."""
        ts_s, values, columns = (one[-WINDOW_ROWS_MOST:] for one in (ts_s, values, columns))
        n = len(ts_s)
        while self._ts_s.shape[1] < n:
            self._widen()
        self._ts_s[slot], self._columns[slot], self._there[slot] = np.inf, 0.0, False
        self._ts_s[slot, :n], self._values[slot, :n] = ts_s, values
        there = np.isfinite(columns.T)
        self._there[slot, :, :n] = there
        self._columns[slot, :, :n] = np.where(there, columns.T, 0.0)
        self._count[slot] = there.sum(axis=1)
        self._next[slot] = n % self._ts_s.shape[1]

    def put(self, slots: Slots, ts_s: Floats, values: Floats, columns: Floats, span_s: Floats) -> None:
        """Take one row of each slot; what is older than `span_s` (n) before it leaves the window."""
        edge_s = window_edge_s(ts_s - span_s, 0.0)
        at, row = np.nonzero(self._ts_s[slots] <= edge_s[:, None])
        self._drop(slots[at], row)
        while self._ts_s.shape[1] < WINDOW_ROWS_MOST and self._full(slots).any():
            self._widen()
        full = np.flatnonzero(self._full(slots))
        self._drop(slots[full], self._next[slots[full]])
        row = self._next[slots]
        there = columns == columns  # noqa: PLR0124  quicker than isnan
        self._ts_s[slots, row] = ts_s
        self._values[slots, row] = values
        self._there[slots, :, row] = there
        self._columns[slots, :, row] = np.where(there, columns, 0.0)
        self._count[slots] += there
        self._next[slots] = (row + 1) % self._ts_s.shape[1]

    def windows(self, some: Some, rows_least: Floats) -> WindowStats:
        """Return the figures of the windows as they are, (n, columns); `rows_least` is (n, 1).

        They are those of `mean_and_spread`; where all columns have the same rows it takes fewer steps.
        """
        inside = np.isfinite(self._ts_s[some]).astype(np.float64)
        block, count = self._columns[some], self._count[some].copy()
        enough = np.maximum(count, 1.0)
        mean = block.sum(axis=-1) / enough
        off = block - mean[..., None]
        off *= inside[:, None, :]
        spread = np.sqrt(np.einsum("ncr,ncr->nc", off, off) / enough)
        few = count < rows_least
        mean[few], spread[few] = np.nan, np.nan
        made = WindowStats(mean, spread, count)
        patchy = np.flatnonzero(((count != 0.0) & (count != inside.sum(axis=1)[:, None])).any(axis=1))
        if len(patchy):
            cells = np.where(self._there[some][patchy], block[patchy], np.nan)
            found = mean_and_spread(cells, rows_least[patchy])
            mean[patchy], spread[patchy] = found.mean, found.spread
        return made

    def rows(self, slot: int) -> tuple[Floats, Floats]:
        """Return times (n) and values (n, metrics) of the rows in the window of a slot, oldest first."""
        order = np.argsort(self._ts_s[slot])[: int(np.isfinite(self._ts_s[slot]).sum())]
        return self._ts_s[slot, order], self._values[slot, order]

    def _full(self, slots: Slots) -> NDArray[np.bool_]:
        return np.isfinite(self._ts_s[slots, self._next[slots]])

    def _drop(self, slots: Slots, row: Slots) -> None:
        """Have rows leave their windows; a slot with several of them comes several times in a row."""
        if len(slots):
            if (slots[1:] == slots[:-1]).any():
                np.subtract.at(self._count, slots, self._there[slots, :, row])
            else:
                self._count[slots] -= self._there[slots, :, row]
            self._ts_s[slots, row] = np.inf
            self._columns[slots, :, row] = 0.0
            self._there[slots, :, row] = False

    def _widen(self) -> None:
        """Double the rows, the oldest first."""
        slots, rows = self._ts_s.shape
        order = (self._next[:, None] + np.arange(rows)) % rows
        each = np.arange(slots)[:, None]
        self._ts_s = _beside(self._ts_s[each, order], np.inf, 1)
        self._values = _beside(self._values[each, order], 0.0, 1)
        self._columns = _beside(np.take_along_axis(self._columns, order[:, None, :], 2), 0.0, 2)
        self._there = _beside(np.take_along_axis(self._there, order[:, None, :], 2), 0.0, 2)
        self._next = np.full(slots, rows, np.intp)


def _beside(array: NDArray, filler: float, axis: int) -> NDArray:  # type: ignore[type-arg]
    return np.concatenate([array, np.full_like(array, filler)], axis=axis)
