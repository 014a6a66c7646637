"""The arithmetic of the residual model, for one machine's many rows and for many machines' last rows alike.

Leading axes are rows or machines. The learnt figures of one machine have none and fit every row; those of
many machines have one, and what is a single number for a machine is then (machines, 1).
"""

import math
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.rows import Floats

SPREAD_ROWS_LEAST = 10
"""A spread over fewer rows says nothing."""
STRANGEST = 3
MISSING_WEIGHT_MOST = 0.1
"""A residual is not used when inputs of more weight than this are missing."""
STAT_MOST = 1e6
SPREAD_FLOOR = 0.02
"""Of the noise: what is quieter than this is as good as frozen."""
SPREAD_WEIGHT = 0.5
"""A sigma of a spread counts for less than one of a mean: spreads have the longer tails."""


NUMBERS: Final = frozenset({"threshold", "span_s", "rows_least", "independent_most", "learnt_until_s"})


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a residual model has learnt.

    `center`, `scale` and `explained` are (…, metrics), `weights` (…, metrics, metrics), those up to
    `spread_growth` (…, 2 x metrics), residuals before levels; the last five are single numbers.
    `explained` is 1 for metrics that others tell something of, else 0. `middle`, `variance` and `growth` are
    of a window's mean: where it was at `learnt_until_s`, how far from there it may be at once, squared, and
    by how much more with every second since; `spread_…` the same of the logarithm of a window's spread.
    `independent_most` is how many rows of a window count as independent of each other at most.
    """

    center: Floats
    scale: Floats
    weights: Floats
    explained: Floats
    noise: Floats
    middle: Floats
    variance: Floats
    growth: Floats
    spread_middle: Floats
    spread_variance: Floats
    spread_growth: Floats
    threshold: Floats
    span_s: Floats
    rows_least: Floats
    independent_most: Floats
    learnt_until_s: Floats


class LearntTable:
    """What the residual models of many machines have learnt, a row of one array for each."""

    def __init__(self, metrics: int) -> None:
        one, both, number = (metrics,), (2 * metrics,), (1,)
        shapes = {"center": one, "scale": one, "weights": (metrics, metrics), "explained": one}
        self._shapes = {
            field.name: shapes.get(field.name, number if field.name in NUMBERS else both)
            for field in fields(Learnt)
        }
        self._figures = np.empty((0, sum(math.prod(shape) for shape in self._shapes.values())))

    @property
    def memory_bytes(self) -> int:
        """How much the array takes."""
        return self._figures.nbytes

    def resize(self, machines: int) -> None:
        """Make room for so many machines."""
        held, width = self._figures.shape
        self._figures = np.concatenate([self._figures, np.zeros((machines - held, width))])

    def set(self, machine: int, learnt: Learnt) -> None:
        """Set the figures of one machine."""
        self._figures[machine] = np.concatenate([np.ravel(getattr(learnt, name)) for name in self._shapes])

    def at(self, machines: NDArray[np.intp] | slice) -> Learnt:
        """Return the figures of some machines."""
        rows = self._figures[machines]
        found, first = [], 0
        for shape in self._shapes.values():
            last = first + math.prod(shape)
            found.append(rows[:, first:last].reshape(len(rows), *shape))
            first = last
        return Learnt(*found)


@dataclass(frozen=True, slots=True)
class Statistics:
    """`level` and `spread` (…, 2 x metrics) in sigmas, and the `sigma` of a mean that level is counted in."""

    level: Floats
    spread: Floats
    sigma: Floats


def columns_of(values: Floats, learnt: Learnt) -> Floats:
    """Return residuals and levels side by side (…, 2 x metrics), scaled."""
    return with_residuals((values - learnt.center) / learnt.scale, learnt.weights, learnt.explained)


def explained_by(weights: Floats) -> Floats:
    """Return 1 for each metric that has weights (metrics, metrics), else 0."""
    return np.asarray(weights.any(axis=0), np.float64)


def with_residuals(scaled: Floats, weights: Floats, explained: Floats) -> Floats:
    """Put before the scaled values (…, metrics) what the others do not tell of them.

    That is NaN where too much is missing of what tells, and for metrics that are not `explained` at all:
    only their own level counts.
    """
    missing = ~np.isfinite(scaled)
    some = bool(missing.any())
    told = np.einsum("...i,...ij->...j", np.where(missing, 0.0, scaled) if some else scaled, weights)
    unknown = np.broadcast_to(explained == 0.0, scaled.shape)
    if some:
        absent = np.einsum("...i,...ij->...j", missing.astype(np.float64), np.abs(weights))
        unknown = unknown | (absent > MISSING_WEIGHT_MOST)
    residual = scaled - told
    residual[unknown] = np.nan
    return np.concatenate([residual, scaled], axis=-1)


def statistics_of(ts_s: Floats, mean: Floats, spread: Floats, count: Floats, learnt: Learnt) -> Statistics:
    """Compare figures (…, 2 x metrics) of the window that ends at `ts_s` (…) with what was learnt.

    What wanders is the less certain the longer ago it was learnt; before that it had been as uncertain.
    """
    age_s = np.abs(ts_s[..., None] - learnt.learnt_until_s)
    independent = np.clip(count, 1.0, learnt.independent_most)
    fewer = learnt.noise**2 * (1.0 / independent - 1.0 / learnt.independent_most)
    sigma = np.sqrt(learnt.variance + learnt.growth * age_s + fewer)
    level = np.minimum(np.abs(mean - learnt.middle) / sigma, STAT_MOST)
    log_spread = np.log(np.maximum(spread, SPREAD_FLOOR * learnt.noise))
    spread_sigma = np.sqrt(learnt.spread_variance + learnt.spread_growth * age_s) / SPREAD_WEIGHT
    strange = np.minimum(np.abs(log_spread - learnt.spread_middle) / spread_sigma, STAT_MOST)
    return Statistics(level, np.where(count >= SPREAD_ROWS_LEAST, strange, np.nan), sigma)


def score_of(statistics: Statistics, threshold: Floats) -> Floats:
    """Average the strangest statistics (…): 1 at the threshold (…), NaN where there is none."""
    both = np.concatenate([statistics.level, statistics.spread], axis=-1)
    there = both == both  # noqa: PLR0124  quicker than isnan, and nothing is infinite
    used = np.minimum(np.count_nonzero(there, axis=-1), STRANGEST)
    both[~there] = 0.0
    both.partition(both.shape[-1] - STRANGEST, axis=-1)
    top = both[..., -STRANGEST:].sum(axis=-1)
    return np.where(used > 0, top / np.maximum(used, 1), np.nan) / threshold
