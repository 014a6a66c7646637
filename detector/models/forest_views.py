"""Why an isolation forest found a row strange: what each metric adds, and what it usually reads.

A metric adds as much as the score falls when the metric is left out, its splits passed the way most
training rows went. What is expected of it is its median in training, in the state the machine's power shows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from detector.models.base import Explanation, MetricView
from detector.models.forest_trees import Features32
from detector.rows import Floats, Rows
from detector.states import IDLE_BELOW, OFF_BELOW, high_power_kw, power_metric

FIGURES: Final = ("middle", "low", "high", "window_low", "window_high", "window_sigma")
BAND: Final = (0.005, 0.995)
STATE_ROWS_LEAST: Final = 30
"""A state with fewer rows is shown as the whole."""
FROZEN_ROWS_LEAST: Final = 10
LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Usual:
    """What training showed, in the metrics' own units: `figures` (states, figures, metrics), see `FIGURES`.

    `edges_kw` (states - 1) are the powers between off, idle and running; none where the power is unknown.
    """

    edges_kw: Floats
    figures: Floats

    @classmethod
    def of(cls, rows: Rows, window_means: Floats) -> "Usual":
        """Learn from rows and the mean over the window that ends at each (n, metrics), NaN where none."""
        high_kw = high_power_kw(rows)
        edges_kw = np.empty(0) if not high_kw else high_kw * np.array([OFF_BELOW, IDLE_BELOW])
        states = np.searchsorted(edges_kw, _powers_kw(rows), side="right")
        whole = _figures(rows.values, window_means)
        figures = [
            _figures(rows.values[inside], window_means[inside])
            if (inside := states == state).sum() >= STATE_ROWS_LEAST
            else whole
            for state in range(len(edges_kw) + 1)
        ]
        seen = np.stack(figures)
        return cls(edges_kw, np.where(np.isfinite(seen), seen, whole))

    def now(self, rows: Rows) -> dict[str, Floats]:
        """Return the figures (metrics) by name, for the state at the last row that tells the power."""
        powers_kw = _powers_kw(rows)
        seen = powers_kw[np.isfinite(powers_kw)]
        state = np.searchsorted(self.edges_kw, seen[-1], side="right") if len(seen) else -1
        return dict(zip(FIGURES, self.figures[int(state)], strict=True))


def explained(
    rows: Rows,
    features: Features32,
    score: Callable[[Features32], Floats],
    outside: Floats,
    usual: dict[str, Floats],
) -> Explanation:
    """Explain the last of `rows`, which are one window.

    `features` (3 x metrics) are its own; `score` gives the trees' score of rows of features (n, 3 x metrics);
    `outside` (metrics) is how far each mean lies outside of training, 1 at the threshold.
    """
    width = len(rows.metrics)
    without = np.tile(features, (1 + 2 * width, 1))
    for at in range(width):
        without[1 + at, [at, width + at]] = np.nan
        without[1 + width + at, 2 * width + at] = np.nan
    scores = score(without)
    falls = np.maximum(scores[0] - scores[1:], 0.0).reshape(2, width)
    by_level = np.fmax(falls[0], outside)
    weights = np.maximum(by_level, falls[1])
    there = [at for at in range(width) if np.isfinite(features[at])]
    if not there:
        return Explanation(())
    strongest = max(float(weights[there].max()), LEAST)
    whole = float(np.maximum(weights[there], LEAST).sum())
    highest = max(float(scores[0]), float(np.nanmax(outside[there], initial=0.0)))
    views = [
        _view(
            rows,
            at,
            {name: float(figure[at]) for name, figure in usual.items()},
            share=max(float(weights[at]), LEAST) / whole,
            score=highest * float(weights[at]) / strongest,
            by_spread=bool(falls[1, at] > by_level[at]),
        )
        for at in there
    ]
    return Explanation(tuple(sorted(views, key=lambda view: -view.share)))


def _view(
    rows: Rows, at: int, usual: dict[str, float], *, share: float, score: float, by_spread: bool
) -> MetricView:
    readings = rows.values[:, at]
    there = readings[np.isfinite(readings)]
    middle, mean = usual["middle"], float(there.mean())
    off = mean - middle
    still = len(there) >= FROZEN_ROWS_LEAST and bool((there == there[0]).all())
    return MetricView(
        metric=rows.metrics[at],
        value=float(readings[-1]),
        expected=middle,
        low=usual["low"],
        high=usual["high"],
        window_value=mean,
        window_expected=middle,
        window_low=usual["window_low"],
        window_high=usual["window_high"],
        sigma=off / usual["window_sigma"],
        score=score,
        share=share,
        by_spread=by_spread,
        frozen=still and usual["high"] > usual["low"],
        brief=float(np.median(np.abs(there - middle))) < 0.5 * abs(off),
    )


def _figures(values: Floats, window_means: Floats) -> Floats:
    """Return the figures (figures, metrics) of readings and of window means; NaN for one never seen."""
    columns = []
    for readings, means in zip(values.T, window_means.T, strict=True):
        seen, averaged = readings[np.isfinite(readings)], means[np.isfinite(means)]
        if not len(seen) or not len(averaged):
            columns.append(np.full(len(FIGURES), np.nan))
            continue
        low, middle, high = np.quantile(seen, [BAND[0], 0.5, BAND[1]])
        bottom, left, right, top = np.quantile(averaged, [BAND[0], 0.16, 0.84, BAND[1]])
        sigma = max(0.5 * (right - left), 0.2 * (top - bottom), 0.01 * abs(middle), LEAST)
        columns.append(np.array([middle, low, high, bottom, top, sigma]))
    return np.stack(columns, axis=1)


def _powers_kw(rows: Rows) -> Floats:
    power = power_metric(rows.metrics)
    return np.full(len(rows), np.nan) if power is None else rows.values[:, rows.metrics.index(power)]
