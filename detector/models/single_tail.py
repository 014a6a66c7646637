"""How far is unusually far: the upper tail of distances, on a logarithmic lattice, slowly forgetting."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from detector.rows import Floats
from detector.tuning import SingleSetting

STEP: Final = 0.03
"""One bin of the lattice, in natural logarithms: 3 %."""
BINS: Final = 700
BEYOND_LEAST: Final = 3.0
"""The usual limit is at least the so-manieth largest distance."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The usual limit of distances as a logarithm, and how far beyond it others lay, mean of logarithms."""

    limit: float
    excess: float


class Tail:
    """Counts (BINS) of distances by their logarithm from `origin * STEP` on, the old ones fading."""

    def __init__(self, counts: Floats, origin: int) -> None:
        self.counts = counts
        self.origin = origin

    @property
    def total(self) -> float:
        """How many distances were counted, less what has faded."""
        return float(self.counts.sum())

    def count(self, log_distance: float, setting: SingleSetting) -> None:
        """Take one more distance, as its natural logarithm."""
        self.counts *= 1.0 - 1.0 / setting.fading_steps
        at = int(np.floor(log_distance / STEP)) - self.origin
        self.counts[min(max(at, 0), BINS - 1)] += 1.0

    def reach(self, setting: SingleSetting) -> Reach:
        """Return the limit that the share `beyond_ratio` of the distances exceeded, and their mean excess.

        The mean excess of logarithms is Hill's estimator of a heavy tail.
        """
        above = np.cumsum(self.counts[::-1])
        wanted = max(setting.beyond_ratio * float(above[-1]), BEYOND_LEAST)
        found = min(int(np.searchsorted(above, wanted)), BINS - 1)
        tail = self.counts[::-1][: found + 1]
        excess = float(tail @ np.arange(found, -1, -1.0)) / max(float(tail.sum()), 1e-12) * STEP
        limit = (self.origin + BINS - 1 - found + 0.5) * STEP
        return Reach(limit, excess)
