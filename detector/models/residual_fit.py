"""How a residual model learns: regressions, what single rows scatter, and how each column wanders in time."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import shrunk_covariance

from detector.features import WindowStats
from detector.models.residual_math import SPREAD_FLOOR, SPREAD_ROWS_LEAST
from detector.rows import Floats

SHRINKAGE: Final = 0.09
"""Of the covariance towards none: that of a ridge regression with a penalty of a tenth of the rows."""
CLIPPED_AT: Final = 10.0
"""Scaled values beyond this would bend the regressions towards themselves."""
EXTREME: Final = 1e3
"""A value so many times further from the median than 99 % of them is no reading and teaches nothing."""
LAG_STEP: Final = 1.35
LAG_MOST: Final = 0.6
"""The longest lag that is looked at, as a share of the time learnt from: few pairs are further apart."""
LAG_OFF: Final = 0.2
"""Rows count as a lag apart when their times are so nearly; holes lie between others."""
AT_ONCE_LEAST: Final = 0.1
"""What differs within one lag is scatter to this share at least."""
STILL_VARIANCE: Final = 0.1
"""Of what noise alone gives a window's mean: a mean that stood stiller was lucky."""
SPREAD_VARIANCE_LEAST: Final = 0.01
_MAD: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Wander:
    """Where a figure is at the end of the rows learnt from, and how far from there it may be (columns).

    `variance` is that of a window's figure at once, `growth` what is added to it with every second.
    """

    middle: Floats
    variance: Floats
    growth: Floats


def without_extremes(values: Floats) -> Floats:
    """Return values (n, metrics), NaN for those that are beyond all measure."""
    far = np.abs(values - or_zero(column_median(values)))
    usual = or_zero(_by_column(far, _nearly_all))
    size = np.maximum(np.abs(or_zero(column_median(values))), 1.0)
    return np.where(far > EXTREME * np.where(usual > 0.0, usual, size), np.nan, values)


def center_and_scale(values: Floats) -> tuple[Floats, Floats]:
    """Return median and standard deviation of each column (metrics).

    A column that never moved is scaled by a twentieth of its size: there is no noise to go by.
    """
    center = or_zero(column_median(values))
    spread = or_zero(_by_column(values, np.std))
    still = spread <= 1e-9 * np.maximum(np.abs(center), 1e-12)
    return center, np.where(still, np.where(center == 0.0, 1.0, 0.05 * np.abs(center)), spread)


def regress(scaled: Floats, folds: int) -> tuple[Floats, list[tuple[slice, Floats]]]:
    """Return weights (metrics, metrics), column j telling metric j from the others, 0 on its diagonal.

    And the same for each of so many stretches, learnt from the rows outside of it: with the stretch.
    """
    filled = np.nan_to_num(np.clip(scaled, -CLIPPED_AT, CLIPPED_AT))
    squares, sums = filled.T @ filled, filled.sum(axis=0)
    edges = np.linspace(0, len(filled), folds + 1).astype(int)
    outside = []
    for first, last in pairwise(edges):
        part = filled[first:last]
        rest = squares - part.T @ part, sums - part.sum(axis=0), len(filled) - len(part)
        outside.append((slice(int(first), int(last)), _weights(*rest)))
    return _weights(squares, sums, len(filled)), outside


def _weights(squares: Floats, sums: Floats, count: int) -> Floats:
    """Read the regressions of all columns off one inverse: b of column j is -P[:, j] / P[j, j].

    See Whittaker, Graphical Models in Applied Multivariate Statistics, 5.8.
    """
    covariance = squares / max(count, 1) - np.outer(sums, sums) / max(count, 1) ** 2
    moves = np.diag(covariance) > 1e-12  # noqa: PLR2004  rounding of a column that stands still
    weights = np.zeros_like(covariance)
    if moves.sum() < 2:  # noqa: PLR2004
        return weights
    among = np.ix_(moves, moves)
    precision = np.linalg.inv(shrunk_covariance(covariance[among], shrinkage=SHRINKAGE))
    found = -precision / np.diag(precision)
    np.fill_diagonal(found, 0.0)
    weights[among] = found
    return weights


def noise_of(columns: Floats) -> Floats:
    """Noise of single rows from the differences of neighbours, so that slow movement is not in it."""
    steps = np.diff(columns, axis=0)
    robust = _MAD * column_median(np.abs(steps - column_median(steps)))
    noise = np.maximum(or_zero(robust), 0.3 * or_zero(_by_column(steps, np.std))) / np.sqrt(2.0)
    still = or_zero(_by_column(columns, np.std)) == 0.0
    return np.where(still, 1.0, np.maximum(noise, 0.02))


def settled_in(ts_s: Floats, span_s: float) -> NDArray[np.bool_]:
    """Which rows have a whole window behind them; all where none has."""
    settled = ts_s - ts_s[0] >= span_s
    return settled if settled.any() else np.ones(len(ts_s), bool)


def windows_at(windows: WindowStats, rows: NDArray[np.bool_]) -> WindowStats:
    """Return the windows that end at some of the rows."""
    return WindowStats(windows.mean[rows], windows.spread[rows], windows.count[rows])


def wanders_of(
    ts_s: Floats, unseen: WindowStats, seen: WindowStats, noise: Floats, span_s: float
) -> tuple[Wander, Wander]:
    """Return how means and logarithms of spreads of windows wander; NaN in the middle of spreads of few rows.

    `unseen` are the windows of columns whose regressions had not seen these rows, `seen` of those that had.
    """
    usual = column_median(seen.count)
    whole = seen.count >= 0.5 * usual  # of a window behind a hole there is little
    means = [np.where(whole, one.mean, np.nan) for one in (unseen, seen)]
    floor = SPREAD_FLOOR * noise
    logs = [np.where(whole, np.log(np.maximum(one.spread, floor)), np.nan) for one in (unseen, seen)]
    mean = wander_of(ts_s, means[0], means[1], span_s, STILL_VARIANCE * noise**2 / np.maximum(usual, 1.0))
    spread = wander_of(ts_s, logs[0], logs[1], span_s, np.full_like(noise, SPREAD_VARIANCE_LEAST))
    return mean, replace(spread, middle=np.where(usual >= SPREAD_ROWS_LEAST, spread.middle, np.nan))


def wander_of(ts_s: Floats, held_out: Floats, figures: Floats, span_s: float, least: Floats) -> Wander:
    """Describe figures of windows of `span_s` (n, columns), NaN where there is none, at times (n).

    `held_out` are the same figures of columns whose regressions had not seen these rows: on what they had
    seen, residuals of slow metrics stand stiller than they will. How much two windows differ grows with the
    time between them, as of a level that walks at random below scatter: (difference)² is 2 `variance` +
    `growth` times the lag, fitted with weights that fall with the lag. `variance` is `least` (columns) at
    the least. The middle is then a mean in which a row weighs less the more has been walked since it.
    """
    duration_s = max(float(ts_s[-1] - ts_s[0]), 1e-9) if len(ts_s) else 1e-9
    lags_s, squares = _structure(ts_s, held_out, span_s, duration_s)
    scatter, growth = _line(lags_s, squares, least)
    density = scatter * span_s
    memory_s = np.clip(np.sqrt(density / np.maximum(growth, 1e-300)), 0.5 * span_s, max(duration_s, span_s))
    weight = np.exp((ts_s[:, None] - ts_s[-1:]) / memory_s) * np.isfinite(figures)
    whole = weight.sum(axis=0)
    middle = (weight * np.nan_to_num(figures)).sum(axis=0) / np.where(whole > 0.0, whole, 1.0)
    # What is not known of the level itself: of a steady filter of a walk, or of a mean of all there is.
    unknown = np.maximum(np.minimum(np.sqrt(growth * density), density / memory_s), density / duration_s)
    return Wander(middle, scatter + unknown, growth)


def _structure(ts_s: Floats, figures: Floats, span_s: float, duration_s: float) -> tuple[Floats, Floats]:
    """Return lags (lags) and the mean square of differences over each (lags, columns), NaN where none."""
    width = figures.shape[1]
    period_s = float(np.median(np.diff(ts_s))) if len(ts_s) > 1 else span_s
    most_s = LAG_MOST * duration_s
    lags_s = span_s * LAG_STEP ** np.arange(
        1 + max(0, int(np.log(max(most_s / span_s, 1.0)) / np.log(LAG_STEP)))
    )
    steps = np.unique(np.round(np.minimum(lags_s, max(most_s, period_s)) / period_s).astype(int))
    squares = np.full((len(steps), width), np.nan)
    for at, step in enumerate(steps):
        if not 0 < step < len(ts_s):
            continue
        apart_s = ts_s[step:] - ts_s[:-step]
        near = np.abs(apart_s - step * period_s) <= LAG_OFF * step * period_s
        moved = (figures[step:] - figures[:-step])[near]
        count = np.isfinite(moved).sum(axis=0)
        total = np.nansum(moved * moved, axis=0)
        squares[at] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return steps * period_s, squares


def _line(lags_s: Floats, squares: Floats, least: Floats) -> tuple[Floats, Floats]:
    """Fit 2 scatter + growth x lag, neither below 0; return both (columns)."""
    weight = np.isfinite(squares) / np.maximum(lags_s, 1e-9)[:, None]
    known = np.nan_to_num(squares)
    whole = np.maximum(weight.sum(axis=0), 1e-300)
    lag = (weight * lags_s[:, None]).sum(axis=0) / whole
    square = (weight * known).sum(axis=0) / whole
    off = lags_s[:, None] - lag
    bent = (weight * off * off).sum(axis=0)
    growth = np.maximum((weight * off * (known - square)).sum(axis=0), 0.0) / np.maximum(bent, 1e-300)
    growth = np.where(bent > 1e-9, growth, 0.0)  # noqa: PLR2004  one lag has no slope
    double = np.maximum(square - growth * lag, AT_ONCE_LEAST * known[0])
    growth = np.minimum(growth, np.maximum(square - double, 0.0) / np.maximum(lag, 1e-9))
    return np.maximum(0.5 * double, least), growth


def or_zero(values: NDArray) -> Floats:  # type: ignore[type-arg]
    """Return the values, 0 where they are NaN."""
    return np.nan_to_num(values.astype(np.float64))


def column_median(values: Floats) -> Floats:
    """Return the median of each column (columns), NaN for one without a value."""
    return _by_column(values, np.median)


def _nearly_all(values: Floats, axis: int = 0) -> Floats:
    return np.asarray(np.quantile(values, 0.99, axis=axis))


def _by_column(values: Floats, figure) -> Floats:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """NaN for a column with no value, without numpy's warning about it."""
    if len(values) and np.isfinite(values).all():
        return np.asarray(figure(values, axis=0), np.float64)
    found = [column[np.isfinite(column)] for column in values.T]
    return np.array([figure(column) if len(column) else np.nan for column in found])
