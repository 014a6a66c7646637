"""Window mean and spread of every column, computed here alone: for training, refits and live rows."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from detector.rows import Floats

EdgeTime = TypeVar("EdgeTime", float, Floats)


@dataclass(frozen=True, slots=True)
class WindowStats:
    """Of the window that ends at each row: `mean`, `spread` (standard deviation), `count`; all (n, columns).

    NaN where a window holds fewer values of a column than asked for.
    """

    mean: Floats
    spread: Floats
    count: NDArray[np.int64]


def window_edge_s(ts_s: EdgeTime, span_s: float) -> EdgeTime:
    """Return the time up to which rows are too old for the window that ends at `ts_s`.

    Times come in milliseconds, so the edge is moved by half of one: rounding must not decide.
    """
    return ts_s - span_s + 0.0005


def window_stats(ts_s: Floats, columns: Floats, span_s: float, rows_least: int) -> WindowStats:
    """Compute over (ts - span_s, ts]; `columns` is (n, columns) and may hold NaN, which is left out."""
    there = np.isfinite(columns)
    # Sums of squares lose digits far from 0, so each column is moved to its own middle first.
    with np.errstate(invalid="ignore"):
        middle = np.where(
            there.any(axis=0), np.nansum(columns, axis=0) / np.maximum(there.sum(axis=0), 1), 0.0
        )
    filled = np.where(there, columns - middle, 0.0)
    first = np.searchsorted(ts_s, window_edge_s(ts_s, span_s), side="right")
    last = np.arange(1, len(ts_s) + 1)
    count = _between(there.astype(np.int64), first, last)
    enough = np.maximum(count, 1)
    mean = _between(filled, first, last) / enough
    variance = _between(filled * filled, first, last) / enough - mean * mean
    few = count < rows_least
    return WindowStats(
        np.where(few, np.nan, mean + middle),
        np.where(few, np.nan, np.sqrt(np.maximum(variance, 0.0))),
        count,
    )


def _between(values: NDArray, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray:  # type: ignore[type-arg]
    sums = np.concatenate([np.zeros((1, values.shape[1]), values.dtype), np.cumsum(values, axis=0)])
    return np.asarray(sums[last] - sums[first])
