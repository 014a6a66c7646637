"""Window mean and spread of every column, computed here alone: for training, refits and live rows."""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from detector.rows import Floats

WINDOW_ROWS_MOST: Final = 256
"""Where more rows than this come within a window, the newest so many are the window."""
_CELLS_AT_ONCE: Final = 200_000  # so many stay in the processor's cache
EdgeTime = TypeVar("EdgeTime", float, Floats)


@dataclass(frozen=True, slots=True)
class WindowStats:
    """Of the window that ends at each row: `mean`, `spread` (standard deviation), `count`; all (n, columns).

    NaN where a window holds fewer values of a column than asked for.
    """

    mean: Floats
    spread: Floats
    count: Floats


def window_edge_s(ts_s: EdgeTime, span_s: float) -> EdgeTime:
    """Return the time up to which rows are too old for the window that ends at `ts_s`.

    Times come in milliseconds, so the edge is moved by half of one: rounding must not decide.
    """
    return ts_s - span_s + 0.0005


def mean_and_spread(block: Floats, rows_least: float | Floats) -> WindowStats:
    """Compute over the last axis of `block` (n, columns, rows), leaving out NaN; `block` is used up.

    `rows_least` is a number, or (n, 1).
    """
    there = block == block  # noqa: PLR0124  quicker than isnan
    count = np.count_nonzero(there, axis=-1).astype(np.float64)
    whole = bool(there.all())
    if not whole:
        block[~there] = 0.0
    enough = np.maximum(count, 1.0)
    mean = block.sum(axis=-1) / enough
    block -= mean[..., None]
    if not whole:
        block[~there] = 0.0
    spread = np.sqrt(np.einsum("ncr,ncr->nc", block, block) / enough)
    few = count < rows_least
    mean[few] = np.nan
    spread[few] = np.nan
    return WindowStats(mean, spread, count)


def window_stats(ts_s: Floats, columns: Floats, span_s: float, rows_least: int) -> WindowStats:
    """Compute over (ts - span_s, ts], at most the newest 256 rows of it.

    `columns` is (n, columns) and may hold NaN, which is left out.
    """
    n, width = columns.shape
    last = np.arange(n)
    first = np.searchsorted(ts_s, window_edge_s(ts_s, span_s), side="right")
    first = np.maximum(first, last - (WINDOW_ROWS_MOST - 1))
    rows = int((last - first).max(initial=0)) + 1
    made = WindowStats(*(np.empty((n, width)) for _ in range(3)))
    step = max(1, _CELLS_AT_ONCE // (rows * max(1, width)))
    for begin in range(0, n, step):
        part = slice(begin, min(n, begin + step))
        at = last[part, None] - np.arange(rows - 1, -1, -1)
        block = columns[np.maximum(at, 0)]
        block[at < first[part, None]] = np.nan
        found = mean_and_spread(np.ascontiguousarray(block.transpose(0, 2, 1)), rows_least)
        made.mean[part], made.spread[part], made.count[part] = found.mean, found.spread, found.count
    return made
