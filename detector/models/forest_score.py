"""From path lengths to a score that is 1 at the threshold."""

from dataclasses import dataclass

import numpy as np

from detector.models.forest_trees import Features32
from detector.rows import Floats


@dataclass(frozen=True, slots=True)
class Scoring:
    """How path lengths and means become scores: the figures of one model, or of one model a row.

    `average` is the path length scikit-learn divides by, `offset` its threshold, `room` the distance from
    there to the typical training row, which scores 0. `low`, `high` and `margin` (metrics) bound a window's
    mean, in scales around the centre. The first three are (1) or (n), the others (metrics) or (n, metrics).
    """

    average: Floats
    offset: Floats
    room: Floats
    low: Floats
    high: Floats
    margin: Floats

    def score(self, features: Features32, lengths: Floats) -> Floats:
        """Return the stranger (n) of what the trees say and of how far a mean lies outside of training."""
        ratio = self.ratio(lengths)
        outside = np.fmax.reduce(self.outside(features), axis=1, initial=0.0)
        known = np.isfinite(features).any(axis=1)
        return np.where(known, np.maximum(ratio, outside), np.nan)

    def ratio(self, lengths: Floats) -> Floats:
        """Return the score of the trees (n), from the mean path lengths."""
        return 1.0 - (samples_score(lengths, self.average) - self.offset) / self.room

    def outside(self, features: Features32) -> Floats:
        """Return how far each mean lies outside its range in training (n, metrics), in margins; 0 inside."""
        width = features.shape[1] // 3
        means = features[:, width : 2 * width].astype(np.float64)
        return np.maximum(np.maximum(means - self.high, self.low - means), 0.0) / self.margin


def samples_score(lengths: Floats, average: Floats) -> Floats:
    """Return scikit-learn's `score_samples`: from -1, strange, to 0. Liu, Ting and Zhou, equation 2."""
    return -(2.0 ** (-lengths / average))
