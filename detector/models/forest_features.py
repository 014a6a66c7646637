"""What an isolation forest looks at: each metric's reading, and its mean and spread over a short window.

Readings are counted in whole steps of a fraction of their usual spread. Sums of whole numbers are exact in
whatever order they are made, so a window that is carried along gives the same bits as one computed anew.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.features import window_edge_s
from detector.rows import Floats, Rows

Whole = NDArray[np.int64]
STEPS: Final = 4096
"""Steps in one scale."""
SCALES_MOST: Final = 10_000.0
"""A reading further from the centre counts as this far: the sum of squares over a window must fit 64 bit."""
WINDOW_ROWS_MOST: Final = 64
"""A window has the newest of its rows, no more than this."""
KINDS_OF_FEATURE: Final = ("value", "mean", "spread")


@dataclass(frozen=True, slots=True)
class Counted:
    """Readings in whole steps, 0 where there is none, and where there is one; all (…, metrics)."""

    steps: Whole
    there: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sums:
    """Of the window that ends at each row: sums of steps and of their squares, and readings; (…, metrics)."""

    steps: Whole
    squares: Whole
    count: Whole


def feature_names(metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the columns `features_of` makes: all values, then means, then spreads."""
    return tuple(f"{metric}.{kind}" for kind in KINDS_OF_FEATURE for metric in metrics)


def center_and_scale(values: Floats) -> tuple[Floats, Floats]:
    """Return the median and half of what the middle 68 % span, of each column of `values` (n, metrics).

    A column that hardly ever moves is scaled by an eighth of what its middle 98 % span, and one that never
    does by a twentieth of its size: there is no spread to go by.
    """
    center, scale = np.zeros(values.shape[1]), np.ones(values.shape[1])
    for column, measured in enumerate(values.T):
        seen = measured[np.isfinite(measured)]
        if not len(seen):
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            bottom, low, middle, high, top = np.quantile(seen, [0.01, 0.16, 0.5, 0.84, 0.99])
            spread = max((high - low) / 2.0, (top - bottom) / 8.0)
        center[column] = middle
        size = abs(float(middle))
        if np.isfinite(spread) and spread > max(1e-9 * size, float(np.finfo(np.float64).tiny)):
            scale[column] = spread
        elif size > 0.0:
            scale[column] = 0.05 * size
    return center, scale


def without_extremes(rows: Rows, center: Floats, scale: Floats) -> Rows:
    """Return the rows without readings that `counted` would bring nearer: nothing is learnt from those."""
    with np.errstate(over="ignore", invalid="ignore"):
        far = np.abs((rows.values - center) / scale) >= SCALES_MOST
    return Rows(rows.metrics, rows.ts_s, np.where(far, np.nan, rows.values)) if far.any() else rows


def counted(values: Floats, center: Floats, scale: Floats) -> Counted:
    """Count `values` (…, metrics) in steps; what is not finite is missing."""
    there = np.isfinite(values)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values - center) / scale
    near = np.clip(np.where(there, scaled, 0.0), -SCALES_MOST, SCALES_MOST)
    return Counted(np.rint(near * STEPS).astype(np.int64), there)


def window_sums(ts_s: Floats, readings: Counted, span_s: float) -> Sums:
    """Sum over (ts - span_s, ts] at every row, over the newest `WINDOW_ROWS_MOST` rows of it."""
    last = np.arange(1, len(ts_s) + 1)
    edges_s: Floats = window_edge_s(ts_s, span_s)
    first = np.maximum(np.searchsorted(ts_s, edges_s, side="right"), last - WINDOW_ROWS_MOST)
    return Sums(
        _between(readings.steps, first, last),
        _between(readings.steps**2, first, last),
        _between(readings.there.astype(np.int64), first, last),
    )


def _between(whole: Whole, first: Whole, last: Whole) -> Whole:
    # The running sum may pass 64 bit; it wraps, and the difference is right all the same.
    sums = np.concatenate([np.zeros((1, whole.shape[1]), np.int64), np.cumsum(whole, axis=0)])
    return np.asarray(sums[last] - sums[first])


def features_of(readings: Counted, sums: Sums, rows_least: int | Whole) -> NDArray[np.float32]:
    """Return (n, 3 x metrics), in scales; NaN where a metric is missing or its window has too few readings.

    The spread enters as the root of the standard deviation, so that small ones differ as much as large ones.
    """
    enough = np.maximum(sums.count, 1)
    mean = sums.steps / enough
    variance = np.maximum(sums.squares / enough - mean * mean, 0.0)
    spread = np.sqrt(np.sqrt(variance) / STEPS)
    both = np.concatenate([readings.steps / STEPS, mean / STEPS, spread], axis=1)
    known = readings.there & (sums.count >= rows_least)
    return np.where(np.tile(known, (1, 3)), both, np.nan).astype(np.float32)


def window_features(
    rows: Rows, center: Floats, scale: Floats, span_s: float, rows_least: int
) -> NDArray[np.float32]:
    """Return the features of every row, see `features_of`; the columns of `rows` are those of `center`."""
    readings = counted(rows.values, center, scale)
    return features_of(readings, window_sums(rows.ts_s, readings, span_s), rows_least)
