"""Counters as rates: a meter's reading only rises, and what it rose by in an hour is what can be strange."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Final

import numpy as np

from broker.units import unit_of
from detector.rows import Floats

SECONDS_AN_HOUR: Final = 3600.0
COUNTING_UNITS: Final = frozenset({"Wh", "kWh", "MWh", "kvarh", "pieces", "h"})
COUNTING_ENDINGS: Final = ("_total", "_counter", "_meter")
LEVEL_UNITS: Final = frozenset(
    {"kW", "MW", "W", "kVA", "kvar", "V", "A", "mA", "Hz", "°C", "°F", "K", "bar", "mbar", "Pa", "kPa"}
    | {"m³/h", "kg/h", "L/min", "mm/s", "mm", "m/s", "g", "%", "1/min", "Nm"}
)
"""What is measured in these goes up and down by nature: a slow rise in training is no counter."""
RISES_LEAST: Final = 10
RISES_LEAST_UNSAID: Final = 100
RESET_BELOW: Final = 0.5
RESETS_MOST: Final = 0.005
WHOLE_STEPS: Final = 10.0
"""A difference of so many of the counter's steps is known to a tenth."""


@dataclass(frozen=True, slots=True)
class CounterRule:
    """How one counter counts. `step` is its resolution, 0 where it has none that can be seen.

    A rate is taken over at least `hold_s`; a counter that stands still for `wait_s` has stopped; over more
    than `gap_s` without a reading there is no rate.
    """

    step: float
    hold_s: float
    wait_s: float
    gap_s: float


def counts(metric: str, values: Floats) -> bool:
    """Whether the values (n), in order of time, are those of a counter; NaN is left out.

    It rises, and falls so seldom and so far that each fall is a reset. One whose name does not say that it
    counts must have risen 100 times; energy per interval goes up and down, and is none.
    """
    unit = unit_of(metric)
    if unit in LEVEL_UNITS:
        return False
    values = values[np.isfinite(values)]
    moves = np.diff(values)
    rises, falls = int((moves > 0.0).sum()), np.flatnonzero(moves < 0.0)
    said = unit in COUNTING_UNITS or metric.endswith(COUNTING_ENDINGS)
    if rises < (RISES_LEAST if said else RISES_LEAST_UNSAID) or values.min() < 0.0:
        return False
    resets = bool((values[falls + 1] < RESET_BELOW * values[falls]).all())
    return resets and len(falls) <= max(1.0, RESETS_MOST * rises)


def counter_rule(ts_s: Floats, values: Floats, period_s: float, gap_s: float) -> CounterRule:
    """Learn how a counter counts from its readings (n), NaN where there is none."""
    there = np.isfinite(values)
    ts_s, values = ts_s[there], values[there]
    moves = np.diff(values)
    rises = moves[moves > 0.0]
    step = _step(rises)
    coarse = step > 0.0 and float(np.median(rises)) < WHOLE_STEPS * step
    changed_s = ts_s[1:][moves > 0.0]
    waits_s = np.diff(changed_s)
    wait_s = float(np.quantile(waits_s, 0.95)) if len(waits_s) else period_s
    return CounterRule(step, WHOLE_STEPS * period_s if coarse else 0.0, max(wait_s, period_s), gap_s)


def _step(rises: Floats) -> float:
    """Return the rise that all others are multiples of, or 0."""
    smallest = float(np.quantile(rises, 0.01))
    multiples = rises / smallest
    whole = np.abs(multiples - np.round(multiples)) < 0.01 + 1e-4 * multiples
    return smallest if float(np.mean(whole)) >= 0.99 else 0.0  # noqa: PLR2004


@dataclass(slots=True)
class CounterRate:
    """One counter as it comes in; `take` turns a reading into a rate per hour.

    A rate is the difference to an earlier reading, the anchor, over the time between. Where the counter's
    steps are coarse the anchor is a moment at which it changed, and between two of them the last rate goes
    on as far as what has been counted since allows it.
    """

    rule: CounterRule
    _anchor_s: float = field(default=-np.inf)
    _anchor: float = field(default=np.nan)
    _rate: float = field(default=np.nan)
    _at_change: bool = False
    _last_s: float = field(default=-np.inf)

    def take(self, ts_s: float, reading: float) -> float:
        """Return the rate per hour at `ts_s`; NaN where none can be told: a first reading, a reset, a gap."""
        if not isfinite(reading):
            return np.nan
        rule = self.rule
        gap_s, self._last_s = ts_s - self._last_s, ts_s
        moved = reading - self._anchor
        if not (0.0 < gap_s <= rule.gap_s and moved >= 0.0):
            self._begin(ts_s, reading, at_change=False)
            return np.nan
        passed_h = (ts_s - self._anchor_s) / SECONDS_AN_HOUR
        if self._rate != self._rate:
            return self._first(ts_s, reading, moved, passed_h)
        if moved > 0.0 and ts_s - self._anchor_s >= rule.hold_s:
            self._begin(ts_s, reading, at_change=True)
            self._rate = moved / passed_h
            return self._rate
        return min(max(self._rate, (moved - rule.step) / passed_h), (moved + rule.step) / passed_h)

    def _first(self, ts_s: float, reading: float, moved: float, passed_h: float) -> float:
        """Return the first rate after a beginning, once it is known to a tenth."""
        rule = self.rule
        if moved == 0.0:
            return rule.step / passed_h if ts_s - self._anchor_s >= rule.wait_s else np.nan
        if ts_s - self._anchor_s < rule.hold_s and self._at_change:
            return np.nan
        known = self._at_change or moved >= WHOLE_STEPS * rule.step
        self._begin(ts_s, reading, at_change=True)
        if known:
            self._rate = moved / passed_h
        return self._rate

    def _begin(self, ts_s: float, reading: float, *, at_change: bool) -> None:
        self._anchor_s, self._anchor, self._at_change = ts_s, reading, at_change
        self._rate = np.nan


def rates(rule: CounterRule, ts_s: Floats, readings: Floats) -> Floats:
    """Return the rate per hour at each reading (n), as `CounterRate` tells them one after the other."""
    one = CounterRate(rule)
    return np.array([one.take(*at) for at in zip(ts_s.tolist(), readings.tolist(), strict=True)]).reshape(-1)
