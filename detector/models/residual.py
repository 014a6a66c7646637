"""Each metric against the others and against its own past, in windows of time.

Every metric is scaled, then regressed on the others. Of each residual and of each scaled metric the window's
mean is compared with where it was when learning ended, in sigmas of how far from there it may be: scatter,
and a walk that makes a slow metric the less certain the longer ago it was learnt. How much it walks is
measured on stretches of training whose rows the regressions had not seen. The window's spread is compared in
the same way, by its logarithm. The three strangest of these statistics, averaged, are the score. The
threshold is the highest score of training times a margin, and never below so many sigmas: training is short,
so it cannot have shown the worst that is normal.
"""

from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detector.features import (
    WINDOW_ROWS_MOST,
    WindowStats,
    mean_and_spread,
    window_edge_s,
    window_stats,
)
from detector.models.base import (
    Explanation,
    MetricView,
    Patience,
    TooFewRowsError,
    WindowModel,
    WrongModelError,
    check_fields,
    metrics_in,
    packed_fields,
    patience_in,
)
from detector.models.residual_fit import (
    center_and_scale,
    noise_of,
    regress,
    settled_in,
    wanders_of,
    windows_at,
    without_extremes,
)
from detector.models.residual_math import (
    SPREAD_ROWS_LEAST,
    Learnt,
    Statistics,
    columns_of,
    explained_by,
    score_of,
    statistics_of,
    with_residuals,
)
from detector.rows import Floats, Rows, usual_period_s
from detector.tuning import ResidualSetting, Tuning

LEAST_ROWS = 30


@dataclass(frozen=True, slots=True)
class _Last(Statistics):
    """Those of the last row of a window, with the columns (rows, 2 x metrics) they were made from."""

    columns: Floats


@dataclass(frozen=True, slots=True)
class ResidualModel(WindowModel):
    """Learnt figures, scaled; arrays are by metric, or residuals followed by levels (2 x metrics)."""

    kind: ClassVar[str] = "residual"

    metrics: tuple[str, ...]
    samples: int
    period_s: float
    span_s: float
    patience: Patience
    rows_least: int
    threshold: float
    learnt_until_s: float
    center: Floats
    scale: Floats
    weights: Floats
    noise: Floats
    middle: Floats
    variance: Floats
    growth: Floats
    spread_middle: Floats
    spread_variance: Floats
    spread_growth: Floats

    @property
    def reach_s(self) -> float:  # type: ignore[override]
        """Return the length of the window: nothing before it counts."""
        return self.span_s

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return the names of the statistics, in the order of the arrays."""
        names = [f"{kind}.{metric}" for kind in ("residual", "level") for metric in self.metrics]
        return tuple(f"{name}.{what}" for what in ("mean", "spread") for name in names)

    @classmethod
    def learn(cls, rows: Rows, tuning: Tuning) -> Self:
        """Fit on all rows; how columns wander is seen on stretches the fit had not seen."""
        if len(rows) < LEAST_ROWS:
            msg = f"{len(rows)} rows are too few to learn from; it takes {LEAST_ROWS}"
            raise TooFewRowsError(msg)
        period_s = usual_period_s(rows.ts_s)
        setting = tuning.residual
        span_s = max(setting.window_s, setting.window_rows_least * period_s)
        span_s = min(span_s, 60.0 * period_s)
        values = without_extremes(rows.values)
        center, scale = center_and_scale(values)
        scaled = (values - center) / scale
        weights, outside = regress(scaled, setting.folds)
        explained = explained_by(weights)
        own = with_residuals(scaled, weights, explained)
        held_out = own.copy()
        for stretch, others in outside:
            held_out[stretch] = with_residuals(scaled[stretch], others, explained)
        noise = noise_of(own)
        seen, unseen = (
            window_stats(rows.ts_s, columns, span_s, setting.window_rows_least) for columns in (own, held_out)
        )
        settled = settled_in(rows.ts_s, span_s)
        mean, spread = wanders_of(
            rows.ts_s[settled], windows_at(unseen, settled), windows_at(seen, settled), noise, span_s
        )
        made = cls(
            metrics=rows.metrics,
            samples=len(rows),
            period_s=period_s,
            span_s=span_s,
            patience=_patience(setting, span_s),
            rows_least=setting.window_rows_least,
            threshold=1.0,
            learnt_until_s=float(rows.ts_s[-1]),
            center=center,
            scale=scale,
            weights=weights,
            noise=noise,
            middle=mean.middle,
            variance=mean.variance,
            growth=mean.growth,
            spread_middle=spread.middle,
            spread_variance=spread.variance,
            spread_growth=spread.growth,
        )
        scores = made._scores(rows.ts_s, seen)[settled]
        highest = float(np.nanmax(scores)) if np.isfinite(scores).any() else 0.0
        return made.with_threshold(max(highest * setting.margin, setting.sigmas))

    def with_threshold(self, threshold: float) -> Self:
        """Return the same model with another threshold, in the units of the score before scaling."""
        return type(self)(**{**{f.name: getattr(self, f.name) for f in fields(self)}, "threshold": threshold})

    @property
    def learnt(self) -> Learnt:
        """Return what was learnt, as the shared arithmetic wants it."""
        return Learnt(
            self.center,
            self.scale,
            self.weights,
            explained_by(self.weights),
            self.noise,
            self.middle,
            self.variance,
            self.growth,
            self.spread_middle,
            self.spread_variance,
            self.spread_growth,
            np.array(self.threshold),
            np.array(self.span_s),
            np.array(float(self.rows_least)),
            np.array(max(1.0, self.span_s / self.period_s)),
            np.array(self.learnt_until_s),
        )

    def score(self, rows: Rows) -> Floats:
        """Average the strangest statistics of each row."""
        columns = columns_of(rows.of(self.metrics).values, self.learnt)
        return self._scores(rows.ts_s, window_stats(rows.ts_s, columns, self.span_s, self.rows_least))

    def _scores(self, ts_s: Floats, windows: WindowStats) -> Floats:
        found = statistics_of(ts_s, windows.mean, windows.spread, windows.count, self.learnt)
        return score_of(found, np.array(self.threshold))

    def _last(self, window: Rows) -> _Last:
        learnt = self.learnt
        columns = columns_of(window.values, learnt)
        whole = mean_and_spread(columns.T[None].copy(), self.rows_least)
        found = statistics_of(window.ts_s[-1:], whole.mean, whole.spread, whole.count, learnt)
        return _Last(found.level[0], found.spread[0], found.sigma[0], columns)

    def explain(self, rows: Rows) -> Explanation:
        """View every metric against the others or against its own past, whichever says more."""
        width = len(self.metrics)
        first = int(
            np.searchsorted(rows.ts_s, window_edge_s(float(rows.ts_s[-1]), self.span_s), side="right")
        )
        window = rows.of(self.metrics).cut(max(first, len(rows) - WINDOW_ROWS_MOST))
        stats = self._last(window)
        level = np.nan_to_num(stats.level).reshape(2, width)
        spread = np.nan_to_num(stats.spread).reshape(2, width)
        seen = np.flatnonzero(np.isfinite(window.values[-1]))
        strongest = np.maximum(np.maximum(level.max(axis=0), spread.max(axis=0)), 1e-9)
        shares = strongest**2 / np.sum(strongest[seen] ** 2) if len(seen) else strongest
        order = sorted(seen.tolist(), key=lambda at: -shares[at])
        return Explanation(
            tuple(self._view(at, window, stats, (level, spread), float(shares[at])) for at in order)
        )

    def _view(
        self, at: int, window: Rows, stats: _Last, beyond: tuple[Floats, Floats], share: float
    ) -> MetricView:
        (level, spread), readings = beyond, window.values[:, at]
        width = len(self.metrics)
        column = at if self._others_know_better(at, stats, level) else width + at
        scale, value = float(self.scale[at]), float(readings[-1])
        off = (stats.columns[:, column] - self.middle[column]) * scale
        there, off_there = readings[np.isfinite(readings)], off[np.isfinite(off)]
        mean, mean_off = float(there.mean()), float(off_there.mean())
        sigma = float(stats.sigma[column]) * scale
        single = float(np.hypot(self.noise[column], stats.sigma[column])) * scale * self.threshold
        expected = value - float(off[-1])
        strongest = max(float(level[:, at].max()), float(spread[:, at].max()), 1e-9)
        still = len(readings) >= SPREAD_ROWS_LEAST and bool((there == there[0]).all())
        return MetricView(
            metric=self.metrics[at],
            value=value,
            expected=expected,
            low=expected - single,
            high=expected + single,
            window_value=mean,
            window_expected=mean - mean_off,
            window_low=mean - mean_off - sigma * self.threshold,
            window_high=mean - mean_off + sigma * self.threshold,
            sigma=mean_off / sigma,
            score=strongest / self.threshold,
            share=share,
            by_spread=float(spread[:, at].max()) > float(level[:, at].max()),
            frozen=still and bool(np.isfinite(self.spread_middle[width + at])),
            brief=bool(np.count_nonzero(np.abs(off_there) < 0.5 * abs(mean_off)) > 0.5 * len(off_there)),
        )

    def _others_know_better(self, at: int, stats: _Last, level: Floats) -> bool:
        """Whether a metric is shown against the others (true) or against its own past.

        Whichever knows more closely what to expect, unless it is the metric's own level that is strange.
        """
        width = len(self.metrics)
        if not np.isfinite(stats.columns[-1, at]):
            return False
        if level[1, at] >= self.threshold and level[1, at] > level[0, at]:
            return False
        closer = bool(stats.sigma[at] <= stats.sigma[width + at])
        return closer or bool(level[0, at] >= self.threshold)

    def pack(self) -> tuple[dict[str, NDArray], dict[str, object]]:  # type: ignore[type-arg]
        """Split the fields into arrays and JSON."""
        return packed_fields({f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def unpack(cls, arrays: dict[str, NDArray], facts: dict[str, object]) -> Self:  # type: ignore[type-arg]
        """Check names and shapes, then put the fields together again."""
        check_fields(cls.kind, {f.name for f in fields(cls)}, {*arrays, *facts})
        metrics = metrics_in(facts)
        width = len(metrics)
        for name, array in arrays.items():
            shape = {"weights": (width, width), "center": (width,), "scale": (width,)}.get(name, (2 * width,))
            if array.shape != shape or array.dtype != np.float64:
                msg = f"{name} is {array.dtype}{array.shape} where {width} metrics need {shape}; train again"
                raise WrongModelError(msg)
        return cls(**{**arrays, **facts, "metrics": metrics, "patience": patience_in(facts)})  # type: ignore[arg-type]


def _patience(setting: ResidualSetting, span_s: float) -> Patience:
    return Patience(
        rows=setting.patience_rows,
        least_s=0.0,
        calm_ratio=setting.calm_ratio,
        calm_s=setting.calm_windows * span_s,
        hole_s=setting.hole_windows * span_s,
        window_s=span_s,
        fade_ratio=setting.fade_ratio,
    )
