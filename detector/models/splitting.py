"""Where a metric splits into modes, and which metrics are switches: their modes tell what a machine does."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.rows import Floats, Rows
from detector.states import power_metric

BINS = 64
EMPTY_RATIO = 0.1
"""A bin with less than this share of the average has nothing but change-overs in it."""
MODE_SHARE_LEAST = 0.015
MODES_MOST: Final = 4
ROWS_LEAST = 300
SWITCHES_MOST: Final = 2
CODES: Final = MODES_MOST**SWITCHES_MOST
CHANGES_LEAST = 2
CHANGES_SHARE_MOST = 1 / 30
"""What changes more often than every thirtieth row is no state."""
ABRUPT_S = 240.0
ABRUPT_RATIO = 0.5
"""A switch does half of its way within so long around a change; temperatures take longer."""
SLOW_SHARE = 0.25
"""So many of its changes may be slower."""
GAIN_LEAST = 0.2
"""So much less, as a mean of logarithms, must all metrics vary within the modes than without them."""
POWER_GAIN = 0.05
"""Power is preferred by so much to another metric that tells the same."""
_VARIANCE_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class Switches:
    """`columns` (switches) of the rows, and between which values (switches, MODES_MOST - 1) their modes lie.

    Edges rise; those there are none of are infinite. A code is a number below CODES.
    """

    columns: NDArray[np.intp]
    edges: Floats

    def __len__(self) -> int:
        return len(self.columns)

    def modes(self, values: Floats) -> NDArray[np.int64]:
        """Return the mode of each switch (n, switches); without a value it is the one before."""
        found = [
            regimes_of(values[:, column], edges[np.isfinite(edges)])
            for column, edges in zip(self.columns, self.edges, strict=True)
        ]
        return np.stack(found, axis=1) if found else np.zeros((len(values), 0), np.int64)

    def codes(self, values: Floats) -> NDArray[np.int64]:
        """Return one number for all switches' modes of each row (n)."""
        return code_of(self.modes(values))


NO_SWITCHES: Final = Switches(np.empty(0, np.intp), np.empty((0, MODES_MOST - 1)))


def code_of(modes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number for modes (…, switches)."""
    return np.asarray(modes @ MODES_MOST ** np.arange(modes.shape[-1]), np.int64)


def switches_of(rows: Rows) -> Switches:
    """Return the one or two metrics whose modes tell most of all the others; none where none does."""
    scaled = np.nan_to_num((rows.values - _mean(rows.values)) / _spread(rows.values))
    named = power_metric(rows.metrics)
    power = rows.metrics.index(named) if named else None
    found = {column: split(rows.values[:, column]) for column in range(len(rows.metrics))}
    left = {column: edges for column, edges in found.items() if _is_switch(rows, column, edges, None)}
    chosen: list[int] = []
    codes, gained = np.zeros(len(rows), np.int64), 0.0
    while left and len(chosen) < SWITCHES_MOST:
        tried = {
            column: codes + MODES_MOST ** len(chosen) * regimes_of(rows.values[:, column], edges)
            for column, edges in left.items()
        }
        gains = {column: _gain(scaled, own) for column, own in tried.items()}
        preferred = {column: gain + POWER_GAIN * (column == power) for column, gain in gains.items()}
        best = max(preferred, key=lambda column: (preferred[column], -column))
        if preferred[best] - gained < GAIN_LEAST:
            break
        chosen.append(best)
        del left[best]
        codes, gained = tried[best], gains[best]
        left = {column: edges for column, edges in left.items() if _is_switch(rows, column, edges, codes)}
    edges = np.full((len(chosen), MODES_MOST - 1), np.inf)
    for place, column in enumerate(chosen):
        edges[place, : len(found[column])] = found[column]
    return Switches(np.array(chosen, np.intp), edges)


def _is_switch(rows: Rows, column: int, edges: Floats, known: NDArray[np.int64] | None) -> bool:
    """Whether a metric goes from mode to mode at once and not too often.

    Where codes are `known` (n) already, it must also do so when they stay as they are, if it ever changes
    then: what drifts across an edge between changes is no switch.
    """
    if not len(edges):
        return False
    ts_s, values = rows.ts_s, rows.values[:, column]
    modes = regimes_of(values, edges)
    changes = np.flatnonzero(np.diff(modes))
    if not CHANGES_LEAST <= len(changes) <= CHANGES_SHARE_MOST * len(rows):
        return False
    before = np.maximum(np.searchsorted(ts_s, ts_s[changes] - ABRUPT_S / 2.0, side="right") - 1, 0)
    after = np.minimum(np.searchsorted(ts_s, ts_s[changes + 1] + ABRUPT_S / 2.0), len(rows) - 1)
    levels = np.array([np.nanmedian(values[modes == mode]) for mode in range(len(edges) + 1)])
    whole = np.abs(levels[modes[changes + 1]] - levels[modes[changes]])
    done = np.abs(values[after] - values[before]) / np.maximum(whole, 1e-12)
    if known is not None:
        moments = np.append(ts_s[1:][np.diff(known) != 0], np.inf)
        alone = moments[np.searchsorted(moments, ts_s[changes] - ABRUPT_S)] > ts_s[changes] + ABRUPT_S
        done = done[alone] if alone.any() else done
    return bool(np.nanquantile(done, SLOW_SHARE) >= ABRUPT_RATIO)


def _gain(scaled: Floats, codes: NDArray[np.int64]) -> float:
    """Return the mean logarithm of how much more all columns vary without the codes than within them."""
    whole = np.log(scaled.var(axis=0) + _VARIANCE_LEAST)
    gain = 0.0
    for code in np.unique(codes):
        own = scaled[codes == code]
        gain += len(own) / len(scaled) * float(np.mean(whole - np.log(own.var(axis=0) + _VARIANCE_LEAST)))
    return gain


def _mean(values: Floats) -> Floats:
    there = np.isfinite(values)
    return np.asarray(np.nan_to_num(values).sum(axis=0) / np.maximum(there.sum(axis=0), 1))


def _spread(values: Floats) -> Floats:
    off = np.nan_to_num(values - _mean(values))
    spread = np.sqrt((off * off).mean(axis=0))
    return np.where(spread > 0.0, spread, 1.0)


def split(values: Floats) -> Floats:
    """Return the values between the modes of the distribution, rising; none where there is one mode only.

    A mode is a stretch of the histogram that is not empty and has at least 1.5 % of the rows; a change-over
    passes the values between them too quickly to fill them.
    """
    values = values[np.isfinite(values)]
    if len(values) < ROWS_LEAST:
        return np.empty(0)
    low, high = np.quantile(values, [0.001, 0.999])
    if high - low <= 1e-9 * max(abs(high), 1.0):
        return np.empty(0)
    counts, bounds = np.histogram(np.clip(values, low, high), bins=BINS, range=(low, high))
    filled = np.concatenate([[0], (counts >= EMPTY_RATIO * len(values) / BINS).astype(int), [0]])
    first, last = np.flatnonzero(np.diff(filled) == 1), np.flatnonzero(np.diff(filled) == -1)
    modes = [
        (bounds[begin], bounds[end])
        for begin, end in zip(first, last, strict=True)
        if counts[begin:end].sum() >= MODE_SHARE_LEAST * len(values)
    ]
    if not 1 < len(modes) <= MODES_MOST:
        return np.empty(0)
    return np.array([(one[1] + other[0]) / 2.0 for one, other in pairwise(modes)])


def regimes_of(values: Floats, edges: Floats) -> NDArray[np.int64]:
    """Return the mode of each row (n), 0 being the lowest.

    Without a value it is the one before, and the highest where there was none yet.
    """
    modes = np.searchsorted(edges, values, side="right")
    there = np.isfinite(values)
    if there.all():
        return np.asarray(modes, np.int64)
    last = np.maximum.accumulate(np.where(there, np.arange(len(values)), -1))
    return np.where(last < 0, len(edges), modes[last]).astype(np.int64)


def stays_of(ts_s: Floats, regimes: NDArray[np.int64], hole_s: float) -> NDArray[np.int64]:
    """Return the number of each row's stay in its regime (n), from 0.

    A hole longer than `hole_s` ends a stay: nobody saw what was in it.
    """
    return np.concatenate([[0], np.cumsum((np.diff(regimes) != 0) | (np.diff(ts_s) > hole_s))])[: len(ts_s)]


def ages_s(ts_s: Floats, stays: NDArray[np.int64], *, begun: bool) -> Floats:
    """Return for each row (n) how long its stay has lasted, in seconds.

    `begun` says that the first stay began long before the first row.
    """
    starts = np.searchsorted(stays, stays, side="left")
    return np.where(begun & (stays == 0), np.inf, ts_s - ts_s[starts] if len(ts_s) else ts_s)
