"""One meter followed row by row: which watch speaks, what the plant is doing, and why."""

from collections import deque
from copy import deepcopy
from typing import TYPE_CHECKING, Final

import numpy as np

from broker.messages import AnomalyType
from detector.models.base import Explanation, Follower, MetricView
from detector.models.baseline_expected import Expected
from detector.rows import Floats

if TYPE_CHECKING:
    from detector.models.baseline import BaselineModel

CLOSED_MOST: Final = 0.89
"""While no alarm is open the score stays below the line at which one closes."""
WASTE_IN_PRODUCTION: Final = 0.7
"""A load that was left on is waste while the plant rests; in production it is production."""
UNSURE_IN_PRODUCTION: Final = 0.8
SHOWN_SPREADS: Final = 3.0


class BaselineFollower(Follower):
    """The watches of one meter. With `before` they go on where those of an older model are."""

    def __init__(self, model: "BaselineModel", before: "BaselineFollower | None" = None) -> None:
        self.model = model
        self.level, self.spikes, self.still = model.level_watch(), model.spike_watch(), model.still_watch()
        self._busy_s, self._last_s = -np.inf, -np.inf
        self._value, self._score = np.nan, np.nan
        self._expected = Expected(0.0, 1.0, 0.0)
        self._cause: AnomalyType | None = None
        if before is not None and before.model.metrics == model.metrics:
            self._go_on(before)

    def _go_on(self, before: "BaselineFollower") -> None:
        fresh = self.level, self.spikes, self.still
        for name, value in vars(before).items():
            if name != "model":
                setattr(self, name, deepcopy(value))
        level, spikes, still = fresh
        self.level.setting, self.level.allowed = level.setting, level.allowed
        for name in ("setting", "edge", "rise_least", "highest", "count"):
            setattr(self.spikes, name, getattr(spikes, name))
        for name in ("same_most", "none_most", "none_below"):
            setattr(self.still, name, getattr(still, name))

    def take(self, ts_s: float, values: Floats) -> float:
        """Take one interval; NaN without a reading of the meter."""
        model = self.model
        self._value = value = float(values[model.energy])
        if not np.isfinite(value):
            self.spikes.forget()
            self._score, self._cause = np.nan, None
            return np.nan
        self._last_s = ts_s
        self.level.begin_interval(ts_s)
        self._expected = model.expectation.expect(ts_s, values, (ts_s - self._busy_s) / 3600.0)
        broken, kind = self.still.take(value)
        if broken >= 1.0 or self.still.none:
            self.state = "off" if self.still.none else self.state
            self.spikes.forget()
            self._score = broken if broken >= 1.0 else self._level_score(idle=True)
            self._cause = kind if broken >= 1.0 else self._level_cause()
            return self._score
        log = float(np.log(value))
        idle = log < model.expectation.edge_log
        self.state = "idle" if idle and np.isfinite(model.expectation.edge_log) else "running"
        if idle:
            self.level.quiet(ts_s, log, self._expected, model.expectation.calm_spread)
        else:
            self._busy_s = ts_s
        spike, level = self.spikes.take(ts_s, value), self._level_score(idle=idle)
        self._score = max(spike, level)
        self._cause = "spike" if spike >= max(1.0, level) else self._level_cause()
        return self._score

    def _level_score(self, *, idle: bool) -> float:
        level, setting = self.level, self.model.setting
        more = max(0.0, level.departure)
        if not level.open:
            return min(CLOSED_MOST, 0.45 * level.reached + 2.0 * more)
        if not idle and level.cause == "standby_waste":
            return WASTE_IN_PRODUCTION
        if not idle and level.reached < setting.hold_from:
            return UNSURE_IN_PRODUCTION
        return max(1.0, level.reached) + more

    def _level_cause(self) -> AnomalyType | None:
        return self.level.cause if self.level.open else None

    def explain(self) -> Explanation:
        """View the meter against its baseline; over the window, the quiet level against what it should be."""
        if not np.isfinite(self._value):
            return Explanation(())
        expected = self.model.expectation
        level = float(np.exp(self.level.level + self._expected.log))
        if self.state == "running" and np.isfinite(expected.edge_log):
            shown = max(0.0, self._expected.busy)
            low, high = max(0.0, shown + expected.busy_low), shown + expected.busy_high
        else:
            shown = level
            width = max(self.model.allowed, SHOWN_SPREADS * self._expected.spread)
            low, high = level * float(np.exp(-width)), level * float(np.exp(width))
        excess = self.level.excess
        score = self._score if np.isfinite(self._score) else 0.0
        view = MetricView(
            metric=self.model.metrics[self.model.energy],
            value=self._value,
            expected=shown,
            low=low,
            high=high,
            window_value=level * float(np.exp(excess)),
            window_expected=level,
            window_low=level * float(np.exp(-self.model.allowed)),
            window_high=level * float(np.exp(self.model.allowed)),
            sigma=excess / max(self._expected.spread, 1e-9),
            score=score,
            share=1.0,
            by_spread=False,
            frozen=self._cause == "stuck_sensor",
            brief=self._cause == "spike",
        )
        return Explanation((view,), self._cause)

    @property
    def memory_bytes(self) -> int:
        """About what the watches keep, a number at 32 bytes."""
        kept = [one for watch in (self.level, self.spikes) for one in _kept(watch)]
        return 32 * sum(len(one) for one in kept) + 2000


def _kept(watch: object) -> list[deque[float] | list[float]]:
    names = getattr(type(watch), "__slots__", ())
    return [one for one in (getattr(watch, name) for name in names) if isinstance(one, deque | list)]
