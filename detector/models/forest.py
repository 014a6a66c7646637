"""An isolation forest for each machine: rows that few random splits set apart are strange.

Learnt with scikit-learn on every reading and its mean and spread over a short window, then walked without
it. `contamination` is the share of the training rows at or above the threshold. What a forest cannot tell
is how far outside of everything it has seen a reading lies, so a window's mean far outside scores by that.
A missing metric is not asked for: at its splits the row goes where most training rows went.
"""

from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from detector.features import window_edge_s
from detector.models.base import (
    Explanation,
    Follower,
    Patience,
    TooFewRowsError,
    WindowFollower,
    WindowModel,
    WrongModelError,
    check_fields,
    metrics_in,
    packed_fields,
    patience_in,
)
from detector.models.forest_features import (
    WINDOW_ROWS_MOST,
    center_and_scale,
    feature_names,
    window_features,
    without_extremes,
)
from detector.models.forest_score import Scoring, samples_score
from detector.models.forest_trees import (
    DEPTH_MOST,
    Features32,
    Trees,
    average_path_length,
    flattened,
    leaf_lengths,
    mean_lengths,
)
from detector.models.forest_views import FIGURES, Usual, explained
from detector.rows import Floats, Rows, usual_period_s
from detector.tuning import ForestSetting, Tuning

LEAST_ROWS = 30
WINDOW_PERIODS_MOST = 60.0
SEED = 0
ROOM_LEAST = 0.02
"""From the typical row to the threshold, in scikit-learn's score, where rows are nearly alike."""
ALIKE_SHARE = 0.51
"""When more rows than this are at the threshold, they are alike, and it is put below them."""


@dataclass(frozen=True, slots=True)
class ForestModel(WindowModel):
    """Trees (`feature`, `threshold`, `leaf`, see `Trees`) and how their answer becomes a score.

    `offset`, `room`, `low`, `high` and `margin` are those of `Scoring`, `edges_kw` and `figures` of `Usual`.
    """

    kind: ClassVar[str] = "forest"

    metrics: tuple[str, ...]
    samples: int
    period_s: float
    span_s: float
    rows_least: int
    patience: Patience
    rows_a_tree: int
    offset: Floats
    room: Floats
    feature: NDArray[np.uint8 | np.uint16]
    threshold: Features32
    leaf: NDArray[np.int16]
    center: Floats
    scale: Floats
    low: Floats
    high: Floats
    margin: Floats
    edges_kw: Floats
    figures: Floats

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return the names of the columns the trees split."""
        return feature_names(self.metrics)

    @property
    def reach_s(self) -> float:  # type: ignore[override]
        """Return the window's length: nothing before it counts."""
        return self.span_s

    @property
    def trees(self) -> Trees:
        """Return the trees, as of one slot."""
        return Trees(self.feature, self.threshold, self.leaf)

    @classmethod
    def learn(cls, rows: Rows, tuning: Tuning) -> Self:
        """Grow the trees and put the threshold where `contamination` says.

        Raises TooFewRowsError, and ValueError where the setting cannot be.
        """
        setting = _checked(tuning.forest)
        if len(rows) < LEAST_ROWS:
            raise TooFewRowsError(f"{len(rows)} rows are too few to learn from; it takes {LEAST_ROWS}")
        period_s = usual_period_s(rows.ts_s)
        span_s = max(setting.window_s, setting.window_rows_least * period_s)
        span_s = min(span_s, WINDOW_PERIODS_MOST * period_s)
        center, scale = center_and_scale(rows.values)
        rows = without_extremes(rows, center, scale)
        features = window_features(rows, center, scale, span_s, setting.window_rows_least)
        known = np.isfinite(features).any(axis=1)
        if known.sum() < LEAST_ROWS:
            msg = f"{int(known.sum())} rows have a full window; it takes {LEAST_ROWS} to learn from"
            raise TooFewRowsError(msg)
        samples = min(setting.samples, int(known.sum()))
        forest = IsolationForest(n_estimators=setting.trees, max_samples=samples, random_state=SEED)
        forest.fit(_without_gaps(features[known]))
        trees = flattened(forest, _depth(setting.samples))
        means = features[:, len(rows.metrics) : 2 * len(rows.metrics)].astype(np.float64)
        low, high = _bounds(means)
        usual = Usual.of(rows, center + means * scale)
        made = cls(
            metrics=rows.metrics,
            samples=len(rows),
            period_s=period_s,
            span_s=span_s,
            rows_least=setting.window_rows_least,
            patience=_patience(setting, span_s, period_s, setting.patience_rows),
            rows_a_tree=samples,
            offset=np.zeros(1),
            room=np.ones(1),
            feature=trees.feature,
            threshold=trees.threshold,
            leaf=trees.leaf,
            center=center,
            scale=scale,
            low=low,
            high=high,
            margin=np.maximum(setting.outside_ranges * (high - low), 1.0),
            edges_kw=usual.edges_kw,
            figures=usual.figures,
        )
        return made._calibrated(features[known], setting)

    def _calibrated(self, features: Features32, setting: ForestSetting) -> Self:
        normality = samples_score(self._lengths(features), self.scoring.average)
        offset = np.percentile(normality, 100.0 * setting.contamination)
        if np.mean(normality <= offset) > ALIKE_SHARE:
            offset -= ROOM_LEAST
        room = max(float(np.median(normality) - offset), ROOM_LEAST)
        longest = _longest_run(normality <= offset)
        rows = int(np.ceil(setting.patience_margin * longest)) + 1
        rows = min(max(rows, setting.patience_rows), setting.patience_rows_most)
        every = {f.name: getattr(self, f.name) for f in fields(self)}
        every |= {"offset": np.array([offset]), "room": np.array([room])}
        return type(self)(
            **{**every, "patience": _patience(setting, self.span_s, self.period_s, rows)},
        )

    @property
    def scoring(self) -> Scoring:
        """Return how path lengths become scores."""
        average = average_path_length(np.array([float(self.rows_a_tree)]))
        return Scoring(average, self.offset, self.room, self.low, self.high, self.margin)

    def features_of(self, rows: Rows) -> Features32:
        """Return what the trees split, for every row (n, 3 x metrics)."""
        rows = rows.of(self.metrics)
        return window_features(rows, self.center, self.scale, self.span_s, self.rows_least)

    def decision_function(self, rows: Rows) -> Floats:
        """Return scikit-learn's `decision_function` for every row (n): below 0 is beyond the threshold."""
        lengths = self._lengths(self.features_of(rows))
        return samples_score(lengths, self.scoring.average) - self.offset

    def score(self, rows: Rows) -> Floats:
        """Score every row (n) from the window that ends there."""
        return self.score_features(self.features_of(rows))

    def score_features(self, features: Features32) -> Floats:
        """Score rows by their features (n, 3 x metrics)."""
        return self.scoring.score(features, self._lengths(features))

    def _lengths(self, features: Features32) -> Floats:
        return mean_lengths(self.trees, features, np.zeros(len(features), np.int64))

    def follow(self, before: Follower | None = None) -> Follower:
        """Return a follower that walks the trees for its last row alone."""
        return _LastRowFollower(self, before)

    def explain(self, rows: Rows) -> Explanation:
        """Explain the last row from the window that ends there, see `forest_views`."""
        rows = last_window(rows.of(self.metrics), self.span_s)
        features = self.features_of(rows)[-1:]
        return explained(
            rows,
            features[0],
            lambda asked: self.scoring.ratio(self._lengths(asked)),
            self.scoring.outside(features)[0],
            Usual(self.edges_kw, self.figures).now(rows),
        )

    def pack(self) -> tuple[dict[str, NDArray], dict[str, object]]:  # type: ignore[type-arg]
        """Split the fields into arrays and JSON."""
        return packed_fields({f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def unpack(cls, arrays: dict[str, NDArray], facts: dict[str, object]) -> Self:  # type: ignore[type-arg]
        """Check names, shapes and that no node leads out of its tree, then put the fields together again."""
        check_fields(cls.kind, {f.name for f in fields(cls)}, {*arrays, *facts})
        metrics = metrics_in(facts)
        _check_arrays(arrays, len(metrics))
        return cls(**{**arrays, **facts, "metrics": metrics, "patience": patience_in(facts)})  # type: ignore[arg-type]


class _LastRowFollower(WindowFollower):
    model: ForestModel

    def take(self, ts_s: float, values: Floats) -> float:
        self.window.add(ts_s, values, self.model.reach_s)
        return float(self.model.score_features(self.model.features_of(self.window.rows)[-1:])[0])


def last_window(rows: Rows, span_s: float) -> Rows:
    """Return the rows of the window that ends with the last."""
    if not len(rows):
        return rows
    newest = window_edge_s(float(rows.ts_s[-1]), span_s)
    return rows.cut(max(int(np.searchsorted(rows.ts_s, newest, side="right")), len(rows) - WINDOW_ROWS_MOST))


def _checked(setting: ForestSetting) -> ForestSetting:
    if not 0.0 < setting.contamination <= 0.5:  # noqa: PLR2004
        msg = f"contamination is {setting.contamination}; it is a share of rows, above 0 and at most 0.5"
        raise ValueError(msg)
    if not 2 <= setting.samples <= 2**DEPTH_MOST:  # noqa: PLR2004
        msg = f"a tree of {setting.samples} rows cannot be grown; give it 2 to {2**DEPTH_MOST}"
        raise ValueError(msg)
    return setting


def _depth(samples: int) -> int:
    """Return how deep scikit-learn lets a tree of so many rows grow."""
    return int(np.ceil(np.log2(max(samples, 2))))


def _without_gaps(features: Features32) -> Features32:
    """Fill what is missing with the column's median: scikit-learn would make it a side of a split."""
    filled = features.copy()
    for column in filled.T:
        missing = np.isnan(column)
        column[missing] = 0.0 if missing.all() else np.median(column[~missing])
    return filled


def _bounds(means: Floats) -> tuple[Floats, Floats]:
    """Return the lowest and highest of each column; NaN, which nothing is beyond, where it has none."""
    low, high = np.fmin.reduce(means, axis=0), np.fmax.reduce(means, axis=0)
    return low, high


def _longest_run(above: NDArray[np.bool_]) -> int:
    ends = np.flatnonzero(np.diff(np.concatenate([[0], above.astype(np.int8), [0]])))
    return int((ends[1::2] - ends[::2]).max(initial=0))


def _patience(setting: ForestSetting, span_s: float, period_s: float, rows: int) -> Patience:
    """Rows that come faster than in training must last half as long all the same."""
    return Patience(
        rows=rows,
        least_s=0.5 * (rows - 1) * period_s,
        calm_ratio=setting.calm_ratio,
        calm_s=setting.calm_windows * span_s,
        hole_s=setting.hole_windows * span_s,
        window_s=span_s,
    )


def _check_arrays(arrays: dict[str, NDArray], width: int) -> None:  # type: ignore[type-arg]
    trees, splits = (*arrays["feature"].shape, 0, 0)[:2]
    states = len(arrays["edges_kw"]) + 1
    shapes: dict[str, tuple[tuple[int, ...], set[str]]] = {
        "feature": ((trees, splits), {"uint8", "uint16"}),
        "threshold": ((trees, splits), {"float32"}),
        "leaf": ((trees, splits + 1), {"int16"}),
        "offset": ((1,), {"float64"}),
        "room": ((1,), {"float64"}),
        "edges_kw": ((states - 1,), {"float64"}),
        "figures": ((states, len(FIGURES), width), {"float64"}),
    }
    for name, array in arrays.items():
        shape, kinds = shapes.get(name, ((width,), {"float64"}))
        if array.shape != shape or array.dtype.name not in kinds:
            msg = f"{name} is {array.dtype}{array.shape} where {width} metrics need {shape}; train again"
            raise WrongModelError(msg)
    depth = (splits + 1).bit_length() - 1
    whole = trees > 0 and splits + 1 == 2**depth and 0 < depth <= DEPTH_MOST
    if not whole or arrays["feature"].max() >= 2 * 3 * width:
        msg = f"{trees} trees of {splits} splits do not fit {width} metrics; train again"
        raise WrongModelError(msg)
    if arrays["leaf"].min() < 0 or arrays["leaf"].max() >= len(leaf_lengths(depth)):
        raise WrongModelError("a leaf has a code that no tree of this depth has; train again")
