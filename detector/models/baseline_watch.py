"""The watches over one meter: its quiet level, its spikes, and whether it moves at all.

Each takes one interval at a time, in order, and keeps what it needs. None knows of models or of messages.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from detector.models.baseline_expected import DAY_ROWS_LEAST, DAY_S, Expected
from detector.tuning import BaselineSetting

LEVEL_DAYS_LEAST: Final = 3
RECENT: Final = 96
SLOW_ROWS: Final = 32
"""How many quiet intervals the shown departure of the level rests on: half a day of rest."""
SLOW_RANGE: Final = (-0.1, 0.5)
"""A single quiet interval counts in it for no more than this (natural logarithms)."""
GROWN: Final = 0.08
SLOWLY: Final = 0.35
"""It drifts when it has grown by so much since the alarm, or had so much of it a night before the alarm."""
LevelCause = Literal["standby_waste", "drift", "level_shift"]


@dataclass(slots=True)
class LevelWatch:
    """Compares quiet intervals with quiet intervals: a cumulative sum of how far they lie above the level.

    All figures are natural logarithms: 0.1 is 10 %. The level is the median of the last days' own, days of
    an alarm left out. `sum` grows with each interval that lies more than `allowed` above the level, by a
    bounded amount, so that single high ones count little and low ones soon end it.
    """

    setting: BaselineSetting
    levels: deque[float]
    allowed: float
    level: float = 0.0
    sum: float = 0.0
    since_s: float | None = None
    departure: float = 0.0
    _day: float | None = None
    _alarm_today: bool = False
    _today: list[float] = field(default_factory=list)
    _last: deque[float] = field(default_factory=deque)
    _slow: deque[float] = field(default_factory=lambda: deque(maxlen=SLOW_ROWS))
    _opened_at: float = 0.0
    _rose_slowly: bool = False
    _raw: deque[float] = field(default_factory=lambda: deque(maxlen=6))
    _off: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _alarm: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def open(self) -> bool:
        """Whether the level is taken to be too high."""
        return self.since_s is not None

    @property
    def reached(self) -> float:
        """The sum as a share of what opens an alarm."""
        return self.sum / self.setting.alarm_sum

    def begin_interval(self, ts_s: float) -> None:
        """Go on to an interval, quiet or not: with a new day the day before counts to the level."""
        day = ts_s // DAY_S
        if day == self._day:
            return
        if self._day is not None and len(self._today) >= DAY_ROWS_LEAST and not self._alarm_today:
            self.levels.append(float(np.quantile(self._today, self.setting.level_quantile)))
            while len(self.levels) > self.setting.level_days:
                self.levels.popleft()
        self._day, self._today, self._alarm_today = day, [], self.open
        if self.levels:
            self.level = float(np.median(self.levels))

    def quiet(self, ts_s: float, log: float, expected: Expected, calm_spread: float) -> None:
        """Take a quiet interval's logarithm."""
        setting = self.setting
        over_profile = log - expected.log
        self._last.append(over_profile)
        if len(self._last) > setting.filter_rows:
            self._last.popleft()
        lower = sorted(self._last)[min(setting.filter_rank, len(self._last) - 1)]
        if not self.levels:
            self.level = lower
            self.levels.append(lower)
        off = lower - self.level
        self._raw.append(over_profile - self.level)
        self._off.append(off)
        self._slow.append(min(max(off, SLOW_RANGE[0]), SLOW_RANGE[1]))
        self.departure = sum(self._slow) / len(self._slow)
        weight = min(1.0, max(setting.weight_least, calm_spread / expected.spread))
        most = setting.step_large if off > setting.standby_from else setting.step
        grown = self.sum + weight * min(max(off - self.allowed, -setting.step), most)
        self.sum = min(max(0.0, grown), setting.sum_most * setting.alarm_sum)
        if self.open:
            self._go_on(ts_s, off)
            return
        self._today.append(lower)
        if self.reached >= 1.0:
            self.since_s, self._alarm_today = ts_s, True
            before = list(self._off)[-2 * SLOW_ROWS : -SLOW_ROWS]
            self._opened_at = off
            self._rose_slowly = bool(before) and float(np.median(before)) > SLOWLY * off
            self._alarm.clear()

    def _go_on(self, ts_s: float, off: float) -> None:
        self._alarm.append(off)
        usual = float(np.median(list(self._alarm)[-48:]))
        back = sum(one < self.setting.back_ratio * usual for one in self._raw)
        if self.reached < self.setting.close_ratio or back >= self.setting.back_rows:
            self._end()
        elif self.since_s is not None and ts_s - self.since_s > self.setting.accept_days * DAY_S:
            accepted = float(np.quantile(self._alarm, self.setting.level_quantile)) + self.level
            self.levels.clear()
            self.levels.extend([accepted] * LEVEL_DAYS_LEAST)
            self.level, self.departure = accepted, 0.0
            self._off.clear()
            self._slow.clear()
            self._end()

    def _end(self) -> None:
        self.since_s, self.sum = None, 0.0
        self._alarm.clear()

    @property
    def excess(self) -> float:
        """How far the level has lately been above what it should be, in an alarm since that began."""
        recent = list(self._alarm or self._off)[-SLOW_ROWS:]
        return float(np.median(recent)) if recent else 0.0

    @property
    def cause(self) -> LevelCause:
        """What it looks like: much more than usual, growing, or more all at once."""
        if self.excess > self.setting.standby_from:
            return "standby_waste"
        grown = self.excess - self._opened_at
        return "drift" if self._rose_slowly or grown > GROWN else "level_shift"


@dataclass(slots=True)
class SpikeWatch:
    """Single intervals far above both their quiet neighbours. One happens; several in a few hours are odd.

    `rise_least` is in the meter's unit, `highest` the most that training saw, `count` how many make an alarm.
    """

    setting: BaselineSetting
    edge: float
    rise_least: float
    highest: float
    count: int
    until_s: float = -np.inf
    _before: deque[float] = field(default_factory=lambda: deque(maxlen=2))
    _spikes: deque[float] = field(default_factory=deque)

    def take(self, ts_s: float, value: float) -> float:
        """Take an interval; return 1 or more where it is a spike or shortly after one."""
        rises = bool(self._before) and self._stands_out(value, self._before[-1])
        if len(self._before) > 1 and self._stands_out(self._before[1], max(self._before[0], value)):
            self._spikes.append(ts_s)
        while self._spikes and self._spikes[0] < ts_s - self.setting.spike_s:
            self._spikes.popleft()
        several = len(self._spikes) >= self.count
        if several and self._spikes[-1] == ts_s:
            self.until_s = ts_s + self.setting.spike_hold_s
        self._before.append(value)
        if value > self.setting.over_highest * self.highest:
            return value / self.highest
        if several and rises:
            return 1.2
        return 1.1 if ts_s <= self.until_s else 0.0

    def _stands_out(self, value: float, beside: float) -> bool:
        return (
            value > self.setting.spike_ratio * beside
            and value - beside > self.rise_least
            and beside < self.edge
        )

    def forget(self) -> None:
        """Forget the intervals before: what comes next has no neighbour."""
        self._before.clear()


@dataclass(slots=True)
class StillWatch:
    """A meter that shows one and the same, or nothing, for longer than it ever did in training."""

    same_most: int
    none_most: int
    none_below: float
    same: int = 0
    none: int = 0
    _last: float = np.nan

    def take(self, value: float) -> tuple[float, Literal["stuck_sensor", "missing_data"]]:
        """Take an interval; return 1 or more where it is so, and which of both it looks like."""
        self.same = self.same + 1 if value == self._last else 1
        self.none = self.none + 1 if value <= self.none_below else 0
        self._last = value
        if self.none > self.none_most:
            return 1.0 + 0.25 * (self.none - self.none_most), "missing_data"
        if self.same > self.same_most and not self.none:
            return self.same / (self.same_most + 1.0), "stuck_sensor"
        return 0.0, "stuck_sensor"


def longest_run(same: list[bool]) -> int:
    """Return the length of the longest stretch of true."""
    longest = run = 0
    for one in same:
        run = run + 1 if one else 0
        longest = max(longest, run)
    return longest
