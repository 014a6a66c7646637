"""Limits of what is normal from the extremes of blocks: far for what wanders, near for what stands still.

The rows of a regime are cut into blocks of whole stays. What the highest of the blocks have in common is
where the limit begins; how much they differ says how much higher the next may be. See Coles, An Introduction
to Statistical Modeling of Extreme Values, 3.1, for why the extremes of blocks are what to look at.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.features import window_stats
from detector.models.residual import ResidualModel
from detector.models.residual_fit import center_and_scale, noise_of, regress
from detector.models.residual_math import SPREAD_ROWS_LEAST, SPREAD_WEIGHT, columns_of
from detector.rows import Floats, Rows

BLOCKS = 7
ROWS_LEAST = 60
STAYS_LEAST = 4
MARGIN = 1.3
"""Nothing is strange that is no further out than this times what was seen."""
THRESHOLD_SIGMAS = 4.0
THRESHOLD_LEAST = 0.35
SCALE_LEAST = 0.02
"""Of how much a metric varies over all regimes: a sensor that shows a constant in one has no noise there."""
LOG_SPREAD_LEAST = 0.3
UNLIMITED = 1e9


@dataclass(frozen=True, slots=True)
class Band:
    """What is normal (columns): `middle`, and `half` of the width of the band around it."""

    middle: Floats
    half: Floats


def calibrated(
    base: ResidualModel, rows: Rows, own: NDArray[np.bool_], stays: NDArray[np.int64], sigmas: float
) -> ResidualModel:
    """Return `base` with the figures of the rows that are its `own` (n), each limited by itself.

    `stays` (n) says which stay in a regime a row belongs to. A limit lies `sigmas` of the blocks' extremes
    beyond their mean.
    """
    overall = center_and_scale(rows.values)[1]
    near = with_windows(rows.ts_s, own, base.span_s)
    rows, own, stays = rows.where(near), own[near], stays[near]
    center, scale = center_and_scale(rows.values[own])
    scale = np.maximum(scale, SCALE_LEAST * overall)
    weights = regress((rows.values[own] - center) / scale, 1)[0]
    model = replace(base, center=center, scale=scale, weights=weights, threshold=1.0, samples=int(own.sum()))
    columns = columns_of(rows.values, model.learnt)
    windows = window_stats(rows.ts_s, columns, base.span_s, base.rows_least)
    noise = np.nan_to_num(noise_of(columns[own]))
    floor = np.tile(SCALE_LEAST * overall / scale, 2)
    blocks = _blocks(stays[own])
    level = _band(windows.mean[own], blocks, sigmas, floor)
    enough = windows.count[own] >= SPREAD_ROWS_LEAST
    with np.errstate(divide="ignore", invalid="ignore"):
        log_spread = np.where(enough, np.log(np.maximum(windows.spread[own], 0.02 * noise)), np.nan)
    spread = _band(log_spread, blocks, sigmas, np.full_like(floor, LOG_SPREAD_LEAST))
    spreads = np.isfinite(log_spread).sum(axis=0) >= ROWS_LEAST
    model = replace(
        model,
        noise=noise,
        middle=level.middle,
        variance=level.half**2,
        growth=np.zeros_like(noise),
        spread_middle=np.where(spreads, spread.middle, np.nan),
        spread_variance=(spread.half * SPREAD_WEIGHT) ** 2,
        spread_growth=np.zeros_like(noise),
    )
    scores = model.score(rows)[own]
    highest = _extremes(scores, blocks)
    spare = highest.mean() + sigmas / 6.0 * THRESHOLD_SIGMAS * highest.std(ddof=min(1, len(highest) - 1))
    return model.with_threshold(max(float(spare), MARGIN * float(highest.max()), THRESHOLD_LEAST))


def with_windows(ts_s: Floats, own: NDArray[np.bool_], span_s: float) -> NDArray[np.bool_]:
    """Return which rows (n) are in the windows that end at the rows that are `own` (n)."""
    upcoming = np.append(ts_s[own], np.inf)[np.cumsum(own) - own]
    return upcoming - ts_s < span_s


def _blocks(stays: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the block of each row (n): whole stays where there are many, else even parts."""
    order = np.unique(stays, return_inverse=True)[1]
    count = int(order[-1]) + 1
    if count >= STAYS_LEAST:
        return np.asarray(order * min(BLOCKS, count) // count, np.int64)
    return np.asarray(np.arange(len(stays)) * BLOCKS // len(stays), np.int64)


def _band(figures: Floats, blocks: NDArray[np.int64], sigmas: float, floor: Floats) -> Band:
    """Return the band of figures (n, columns), NaN where there is none; unlimited where there are too few."""
    middle, half = np.zeros(figures.shape[1]), np.full(figures.shape[1], UNLIMITED)
    for column, own in enumerate(figures.T):
        there = np.isfinite(own)
        if there.sum() < ROWS_LEAST:
            continue
        high = _limit(own[there], blocks[there], sigmas)
        low = -_limit(-own[there], blocks[there], sigmas)
        middle[column], half[column] = (high + low) / 2.0, max((high - low) / 2.0, floor[column], 1e-9)
    return Band(middle, half)


def _limit(figures: Floats, blocks: NDArray[np.int64], sigmas: float) -> float:
    highest, usual = _extremes(figures, blocks), float(np.median(figures))
    beyond = highest.mean() + sigmas * highest.std(ddof=min(1, len(highest) - 1))
    return max(float(beyond), usual + MARGIN * (float(highest.max()) - usual))


def _extremes(figures: Floats, blocks: NDArray[np.int64]) -> Floats:
    figures = np.nan_to_num(figures, nan=-np.inf)
    highest = np.array([figures[blocks == block].max() for block in np.unique(blocks)])
    return highest[np.isfinite(highest)] if np.isfinite(highest).any() else np.zeros(1)
