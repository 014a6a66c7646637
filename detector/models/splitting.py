"""Where a machine's power splits into regimes, which regime a row is in, and for how long it has been."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detector.rows import Floats

BINS = 64
EMPTY_RATIO = 0.1
"""A bin with less than this share of the average has nothing but change-overs in it."""
MODE_SHARE_LEAST = 0.015
MODES_MOST = 4
ROWS_LEAST = 300


def split_kw(powers_kw: Floats) -> Floats:
    """Return the powers between the modes of the distribution, rising; none where there is one mode only.

    A mode is a stretch of the histogram that is not empty and has at least 1.5 % of the rows; a change-over
    passes the powers between them too quickly to fill them.
    """
    powers_kw = powers_kw[np.isfinite(powers_kw)]
    if len(powers_kw) < ROWS_LEAST:
        return np.empty(0)
    low, high = np.quantile(powers_kw, [0.001, 0.999])
    if high - low <= 1e-9 * max(abs(high), 1.0):
        return np.empty(0)
    counts, bounds = np.histogram(np.clip(powers_kw, low, high), bins=BINS, range=(low, high))
    filled = np.concatenate([[0], (counts >= EMPTY_RATIO * len(powers_kw) / BINS).astype(int), [0]])
    first, last = np.flatnonzero(np.diff(filled) == 1), np.flatnonzero(np.diff(filled) == -1)
    modes = [
        (bounds[begin], bounds[end])
        for begin, end in zip(first, last, strict=True)
        if counts[begin:end].sum() >= MODE_SHARE_LEAST * len(powers_kw)
    ]
    if not 1 < len(modes) <= MODES_MOST:
        return np.empty(0)
    return np.array([(one[1] + other[0]) / 2.0 for one, other in pairwise(modes)])


def regimes_of(powers_kw: Floats, edges_kw: Floats) -> NDArray[np.int64]:
    """Return the regime of each row (n), 0 being the least power; without power it is the one before."""
    there = np.isfinite(powers_kw)
    if not there.any():
        return np.full(len(powers_kw), len(edges_kw), dtype=np.int64)
    before = np.maximum.accumulate(np.where(there, np.arange(len(powers_kw)), np.argmax(there)))
    return np.searchsorted(edges_kw, powers_kw[before], side="right").astype(np.int64)


def steady_s(ts_s: Floats, regimes: NDArray[np.int64], hole_s: float, *, begun: bool) -> Floats:
    """Return for each row (n) for how long the regime has been the same, in seconds.

    A hole longer than `hole_s` ends it: nobody saw what was in it. `begun` says that the regime of the first
    row began long before.
    """
    starts = np.concatenate([[True], (np.diff(regimes) != 0) | (np.diff(ts_s) > hole_s)])
    since_s = np.where(starts, ts_s, -np.inf)
    if begun:
        since_s[:1] = -np.inf
    return ts_s - np.maximum.accumulate(since_s)
