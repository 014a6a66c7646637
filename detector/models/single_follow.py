"""The live state of a channel: steps made of rows, what is remembered, and the silence after a surprise."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from detector.models.base import Explanation, Follower
from detector.models.single_memory import Memory
from detector.models.single_tail import Reach
from detector.models.single_views import Stretch, explained
from detector.rows import Floats
from detector.tuning import SingleSetting

if TYPE_CHECKING:
    from detector.models.single import SingleModel

SPREADS_MOST: Final = 1e6
"""Farther from the center than this, a value is as far as can be."""
ROWS_LEAST: Final = 40
"""The tail of fewer distances says nothing."""
FULL_SHARE: Final = 0.5
"""Of what was remembered at learning, to compare with: among fewer stretches the nearest lies farther."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The last step: its score before any silence, and what it was measured by."""

    score: float
    reach: Reach


class SingleFollower(Follower):
    """Goes on learning with every step that is later than those the model had learnt from."""

    def __init__(self, basis: "SingleModel") -> None:
        self.basis = basis
        self.memory, self.tail = basis.start()
        self._sum = 0.0
        self._rows = 0
        self._told = 0.0
        self._silent = 0
        self._score = np.nan
        self._last = np.nan
        self._judged: Judged | None = None
        self._begun = False

    @property
    def memory_bytes(self) -> int:
        """How much the values, the sums and the tail take."""
        return self.memory.nbytes + self.tail.counts.nbytes

    def take(self, ts_s: float, values: Floats) -> float:
        """Score the step that ends with this row; within a step, the score of the step before, below 1."""
        self._last = float(values[0])
        if not np.isfinite(self._last):
            return float("nan")
        if not self._begun:
            self._begin(ts_s)
        basis = self.basis
        most = SPREADS_MOST * basis.spread
        self._sum += min(max(self._last - basis.center, -most), most) / basis.spread
        self._rows += 1
        if self._rows < basis.rows_a_step:
            return self._score if self._score < 1.0 else 0.0
        step = self._sum / self._rows
        self._sum, self._rows = 0.0, 0
        self._score = self._once(self._judge(step, counts=ts_s > basis.learnt_until_s))
        return self._score

    def explain(self) -> Explanation:
        """Explain the last row by the stretches most like the present."""
        if not np.isfinite(self._last) or self._judged is None:
            return Explanation(())
        basis, judged = self.basis, self._judged
        lags = np.arange(basis.setting.lags)
        remembered = self.memory.values
        behind = np.minimum(self.memory.alike()[:, None] + lags, len(remembered) - 1)
        stretch = Stretch(
            values=remembered[lags],
            expected=remembered[behind].mean(axis=0),
            echo=np.power(1.0 - 1.0 / basis.setting.echo_steps, lags.astype(np.float64)),
        )
        limit = np.exp(judged.reach.limit) / basis.spread
        edge = limit * np.exp(basis.setting.threshold * np.sqrt(self._excess(judged.reach)))
        return explained(
            basis.metrics[0], self._last, stretch, (limit, edge), judged.score, (basis.center, basis.spread)
        )

    def _begin(self, ts_s: float) -> None:
        """Remember nothing yet where the rows that were learnt from are given once more."""
        self._begun = True
        if ts_s <= self.basis.learnt_until_s:
            self.memory = Memory(self.basis.setting, np.empty(0), np.empty(0))

    def _judge(self, value: float, *, counts: bool) -> float:
        basis, setting = self.basis, self.basis.setting
        distance = self.memory.take(value)
        self._judged = None
        if distance is None or self.memory.count < FULL_SHARE * len(basis.memory):
            return float("nan")
        logarithm = log_distance(distance, basis.spread, setting)
        score = float("nan")
        if self.tail.total >= ROWS_LEAST:
            reach = self.tail.reach(setting)
            beyond = max(logarithm - reach.limit, 0.0) / np.sqrt(self._excess(reach))
            score = float(beyond / setting.threshold)
            self._judged = Judged(score, reach)
        if counts:
            self.tail.count(logarithm, setting)
        return score

    def _excess(self, reach: Reach) -> float:
        return max(reach.excess, self.basis.setting.excess_least)

    def _once(self, score: float) -> float:
        """Return the score of a new surprise, 0 for what follows it unless it is clearly stranger."""
        setting = self.basis.setting
        self._silent = max(self._silent - 1, 0)
        if not np.isfinite(score):
            return score
        if self._silent and score <= setting.louder * self._told:
            return 0.0
        if score >= 1.0:
            self._told, self._silent = score, setting.quiet_steps
        return score


def log_distance(distance: float, spread: float, setting: SingleSetting) -> float:
    """Return the logarithm of a distance in spreads, in the metric's unit; below the finest there is none."""
    return float(np.log(max(distance, setting.finest_ratio) * spread))
