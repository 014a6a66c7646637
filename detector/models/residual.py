"""Each metric against the others and against its own past, in windows of time.

Every metric is scaled, then regressed on the others (ridge). Of each residual and of each scaled metric the
window's mean is compared with the noise a mean of so many rows has, plus the slow drift the means showed
in training; the window's spread with the spreads of training. The three strangest of these statistics,
averaged, are the score. The threshold is the highest score on a later part of the training rows, which the
fit has not seen, times a margin: that part is short, so it cannot have shown the worst that is normal.
"""

from dataclasses import asdict, dataclass, fields
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from detector.features import WindowStats, window_edge_s, window_stats
from detector.models.base import (
    Explanation,
    MetricView,
    Patience,
    TooFewRowsError,
    WindowModel,
    WrongModelError,
    metrics_in,
    patience_in,
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
RIDGE = 0.1
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class _Stats(Statistics):
    """The same of each row, with the columns and windows they were made from."""

    windows: WindowStats
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
    center: Floats
    scale: Floats
    weights: Floats
    noise: Floats
    middle: Floats
    drift: Floats
    spread_middle: Floats
    spread_scale: Floats

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
        """Fit on the first part, calibrate the threshold on the rest."""
        if len(rows) < LEAST_ROWS:
            msg = f"{len(rows)} rows are too few to learn from; it takes {LEAST_ROWS}"
            raise TooFewRowsError(msg)
        period_s = usual_period_s(rows.ts_s)
        setting = tuning.residual
        span_s = max(setting.window_s, setting.window_rows_least * period_s)
        span_s = min(span_s, 60.0 * period_s)
        fit = rows.cut(0, int(len(rows) * setting.fit_share))
        center, scale = _center_and_scale(fit.values)
        scaled = (fit.values - center) / scale
        weights = _regress(scaled)
        columns = with_residuals(scaled, weights, explained_by(weights))
        windows = window_stats(fit.ts_s, columns, span_s, setting.window_rows_least)
        settled = fit.ts_s - fit.ts_s[0] >= span_s
        if not settled.any():
            settled[:] = True
        with np.errstate(divide="ignore"):
            log_spread = np.log(windows.spread[settled])
        log_spread[~np.isfinite(log_spread)] = np.nan
        usable = np.nanmedian(_or_zero(windows.count[settled]), axis=0) >= SPREAD_ROWS_LEAST
        spread_middle = np.where(usable, _column_median(log_spread), np.nan)
        made = cls(
            metrics=rows.metrics,
            samples=len(rows),
            period_s=period_s,
            span_s=span_s,
            patience=_patience(setting, span_s),
            rows_least=setting.window_rows_least,
            threshold=1.0,
            center=center,
            scale=scale,
            weights=weights,
            noise=_noise(columns),
            middle=_or_zero(_column_median(windows.mean[settled])),
            drift=_or_zero(_column_std(windows.mean[settled])),
            spread_middle=spread_middle,
            spread_scale=np.maximum(_or_zero(_column_std(log_spread)), 0.1),
        )
        later = made.score(rows)[len(fit) :]
        highest = np.nanmax(later) if np.isfinite(later).any() else 1.0
        return made.with_threshold(max(float(highest), 1.0) * setting.margin)

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
            self.drift,
            self.spread_middle,
            self.spread_scale,
            np.array(self.threshold),
            np.array(self.span_s),
            np.array(float(self.rows_least)),
            np.array(max(1.0, self.span_s / self.period_s)),
        )

    def score(self, rows: Rows) -> Floats:
        """Average the strangest statistics of each row."""
        return score_of(self._stats(rows), np.array(self.threshold))

    def _stats(self, rows: Rows) -> _Stats:
        learnt = self.learnt
        columns = columns_of(rows.of(self.metrics).values, learnt)
        windows = window_stats(rows.ts_s, columns, self.span_s, self.rows_least)
        found = statistics_of(windows.mean, windows.spread, windows.count, learnt)
        return _Stats(found.level, found.spread, found.sigma, windows, columns)

    def explain(self, rows: Rows) -> Explanation:
        """View every metric against the others or against its own past, whichever says more."""
        width = len(self.metrics)
        first = int(
            np.searchsorted(rows.ts_s, window_edge_s(float(rows.ts_s[-1]), self.span_s), side="right")
        )
        window = rows.of(self.metrics).cut(first)
        stats = self._stats(window)
        level = np.nan_to_num(stats.level[-1]).reshape(2, width)
        spread = np.nan_to_num(stats.spread[-1]).reshape(2, width)
        views = [self._view(column, window, stats, level, spread) for column in range(width)]
        seen = [view for view in views if view is not None]
        whole = sum(view.share for view in seen)
        if whole <= 0.0:
            return Explanation(())
        shared = [_with_share(view, view.share / whole) for view in seen]
        return Explanation(tuple(sorted(shared, key=lambda view: -view.share)))

    def _view(self, at: int, window: Rows, stats: _Stats, level: Floats, spread: Floats) -> MetricView | None:
        readings = window.values[:, at]
        if not np.isfinite(readings[-1]):
            return None
        width = len(self.metrics)
        column = at if self._others_know_better(at, stats, level) else width + at
        scale, value = float(self.scale[at]), float(readings[-1])
        off = (stats.columns[:, column] - self.middle[column]) * scale
        there, off_there = readings[np.isfinite(readings)], off[np.isfinite(off)]
        mean, mean_off = float(there.mean()), float(off_there.mean())
        sigma = float(stats.sigma[-1, column]) * scale
        single = float(np.hypot(self.noise[column], self.drift[column])) * scale * self.threshold
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
            share=strongest**2,
            by_spread=float(spread[:, at].max()) > float(level[:, at].max()),
            frozen=still and bool(np.isfinite(self.spread_middle[width + at])),
            brief=float(np.median(np.abs(off_there))) < 0.5 * abs(mean_off),
        )

    def _others_know_better(self, at: int, stats: _Stats, level: Floats) -> bool:
        """Whether a metric is shown against the others (true) or against its own past.

        Whichever knows more closely what to expect, unless it is the metric's own level that is strange.
        """
        width = len(self.metrics)
        if not np.isfinite(stats.columns[-1, at]):
            return False
        if level[1, at] >= self.threshold and level[1, at] > level[0, at]:
            return False
        closer = bool(stats.sigma[-1, at] <= stats.sigma[-1, width + at])
        return closer or bool(level[0, at] >= self.threshold)

    def pack(self) -> tuple[dict[str, NDArray], dict[str, object]]:  # type: ignore[type-arg]
        """Split the fields into arrays and JSON."""
        every = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {name: value for name, value in every.items() if isinstance(value, np.ndarray)}
        facts = {name: value for name, value in every.items() if name not in arrays}
        return arrays, {**facts, "patience": asdict(self.patience)}

    @classmethod
    def unpack(cls, arrays: dict[str, NDArray], facts: dict[str, object]) -> Self:  # type: ignore[type-arg]
        """Check names and shapes, then put the fields together again."""
        wanted, found = {f.name for f in fields(cls)}, {*arrays, *facts}
        if wanted != found:
            differ = ", ".join(sorted(wanted ^ found))
            msg = f"a {cls.kind} model has other fields (missing or unknown: {differ}); train again"
            raise WrongModelError(msg)
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
    )


def _with_share(view: MetricView, share: float) -> MetricView:
    return MetricView(**{**{f.name: getattr(view, f.name) for f in fields(view)}, "share": share})


def _center_and_scale(values: Floats) -> tuple[Floats, Floats]:
    """Scale a column that never moved by a twentieth of its size: there is no noise to go by."""
    center = _or_zero(_column_median(values))
    spread = _or_zero(_column_std(values))
    still = spread <= 1e-9 * np.maximum(np.abs(center), 1e-12)
    return center, np.where(still, np.where(center == 0.0, 1.0, 0.05 * np.abs(center)), spread)


def _regress(scaled: Floats) -> Floats:
    """Return weights (metrics, metrics): column j gives metric j from the others; 0 on the diagonal."""
    width = scaled.shape[1]
    weights = np.zeros((width, width))
    filled = np.nan_to_num(np.clip(scaled, -10.0, 10.0))
    moves = filled.std(axis=0) > 0.0
    for column in range(width):
        others = [other for other in range(width) if other != column and moves[other]]
        there = np.isfinite(scaled[:, column])
        if others and moves[column] and there.sum() >= LEAST_ROWS // 2:
            ridge = Ridge(alpha=RIDGE * int(there.sum()), fit_intercept=False)
            ridge.fit(filled[there][:, others], filled[there, column])
            weights[others, column] = ridge.coef_
    return weights


def _noise(columns: Floats) -> Floats:
    """Noise of single rows from the differences of neighbours, so that slow movement is not in it."""
    steps = np.diff(columns, axis=0)
    robust = _MAD * _column_median(np.abs(steps - _column_median(steps)))
    noise = np.maximum(_or_zero(robust), 0.3 * _or_zero(_column_std(steps))) / np.sqrt(2.0)
    still = _or_zero(_column_std(columns)) == 0.0
    return np.where(still, 1.0, np.maximum(noise, 0.02))


def _or_zero(values: NDArray) -> Floats:  # type: ignore[type-arg]
    return np.nan_to_num(values.astype(np.float64))


def _column_median(values: Floats) -> Floats:
    return _by_column(values, np.median)


def _column_std(values: Floats) -> Floats:
    return _by_column(values, np.std)


def _by_column(values: Floats, figure) -> Floats:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """NaN for a column with no value, without numpy's warning about it."""
    found = [column[np.isfinite(column)] for column in values.T]
    return np.array([figure(column) if len(column) else np.nan for column in found])
