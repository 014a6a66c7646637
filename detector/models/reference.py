"""Models asked one by one through scikit-learn itself: what stacks must equal, and are measured against."""

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import Ridge

from detector.models.forest import SEED, ForestModel
from detector.models.forest_trees import Features32
from detector.models.residual import ResidualModel
from detector.models.residual_math import score_of, statistics_of
from detector.rows import Floats, Rows


class RidgeReference:
    """A residual model as a regression of scikit-learn's for each metric, and numpy's own mean and spread."""

    def __init__(self, model: ResidualModel) -> None:
        self._model = model
        self._ridges = [_ridge(model.weights[:, column]) for column in range(len(model.metrics))]

    def score(self, window: Rows) -> float:
        """Score the last row of a window of `span_s` in which every metric has every reading."""
        model = self._model
        scaled = (window.values - model.center) / model.scale
        told = np.column_stack([one.predict(scaled) for one in self._ridges])
        residual = np.where(model.learnt.explained == 0.0, np.nan, scaled - told)
        columns = np.concatenate([residual, scaled], axis=1)
        count = np.where(np.isnan(columns[-1]), 0, len(window))
        mean, spread = columns.mean(axis=0), columns.std(axis=0)
        found = statistics_of(np.asarray(window.ts_s[-1]), mean, spread, count, model.learnt)
        return float(score_of(found, np.array(model.threshold)))


class ForestReference:
    """A forest model as scikit-learn's own forest, grown again from the rows that were learnt from."""

    def __init__(self, model: ForestModel, learnt: Rows) -> None:
        self._model = model
        features = model.features_of(learnt)
        self._forest = IsolationForest(
            n_estimators=len(model.feature), max_samples=model.rows_a_tree, random_state=SEED
        ).fit(features[np.isfinite(features).all(axis=1)])

    def features(self, window: Rows) -> Features32:
        """Return what the trees split (1, features) of the last row of a window without gaps."""
        return self._model.features_of(window)[-1:]

    def samples_score(self, features: Features32) -> Floats:
        """Ask scikit-learn (1): from -1, strange, to 0."""
        return np.asarray(self._forest.score_samples(features))

    def score(self, features: Features32, samples_score: Floats) -> float:
        """Turn scikit-learn's answer into the model's score."""
        scoring = self._model.scoring
        ratio = 1.0 - (samples_score - scoring.offset) / scoring.room
        return float(max(ratio.max(), scoring.outside(features).max()))


def _ridge(weights: Floats) -> Ridge:
    """Return the regression that these weights were learnt by."""
    ridge = Ridge(fit_intercept=False)
    ridge.coef_, ridge.intercept_, ridge.n_features_in_ = weights, 0.0, len(weights)
    return ridge
