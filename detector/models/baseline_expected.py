"""What energy an interval should take, given its time, its drivers and what the plant is doing.

Two regressions share one description of an interval: one of the logarithm of quiet intervals, one of busy
ones. The first is relative to the quiet level, which a plant has at a time and slowly changes; who watches
the meter keeps that level. The regressions only know calendar, drivers and the time since the last work.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from detector.models.base import WrongModelError
from detector.rows import Floats, Rows
from detector.tuning import BaselineSetting

DAY_S: Final = 86_400.0
HOURS: Final = 24
DAYS: Final = 7
RESTED_H: Final = (0.6, 2.0, 5.0, 10.0, 20.0, 44.0)
"""A plant cools down after work: how long ago that was, in classes that end at these hours."""
CALENDAR: Final = 1 + HOURS + DAYS + len(RESTED_H) + 1
FEW_VALUES: Final = 6
COMBINATIONS_MOST: Final = 24
RIDGE: Final = 3.0
ROUNDS: Final = 3
FAR: Final = 0.3
"""Quiet intervals are drawn to within this much (natural logarithm) of what was expected the round before."""
PRIOR_ROWS: Final = 20.0
MODES_APART: Final = 1.0
MODES_EXPLAIN: Final = 0.7
DAY_ROWS_LEAST: Final = 12
_MAD: Final = 1.4826
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Expected:
    """One interval: if quiet its logarithm above the level, and the spread of that; if busy what it takes."""

    log: float
    spread: float
    busy: float


@dataclass(frozen=True)
class Expectation:
    """Weights of `1 + width` features (the first for the constant), in the order `_features` gives them.

    `edge_log` is between quiet and busy, infinite where the meter shows no two modes. `combinations`
    (combinations, few-valued drivers) are the values seen together; `drivers` the other drivers' places,
    with `driver_center` and `driver_scale`. `spreads` is by hour and combination. `busy_low` and `busy_high`
    are 1 % and 99 % of what busy intervals took more than expected, in the meter's unit.
    """

    edge_log: float
    few: Ints
    combinations: Floats
    drivers: Ints
    driver_center: Floats
    driver_scale: Floats
    quiet_weights: Floats
    busy_weights: Floats
    spreads: Floats
    calm_spread: float
    busy_low: float
    busy_high: float
    levels: Floats

    @classmethod
    def learn(cls, rows: Rows, energy: int, setting: BaselineSetting) -> Self:
        """Learn from rows with the meter in column `energy`; other columns are drivers."""
        taken = rows.values[:, energy]
        positive = np.isfinite(taken) & (taken > 0.0)
        logs = np.log(np.where(positive, taken, 1.0))
        edge_log = _edge(logs[positive])
        quiet, busy = positive & (logs < edge_log), positive & (logs >= edge_log)
        few, combinations, drivers = _split_drivers(rows, energy)
        center, scale = _center_and_scale(rows.values[:, drivers])
        empty = np.empty(0)
        blank = cls(
            edge_log, few, combinations, drivers, center, scale, empty, empty, empty, 0.0, 0.0, 0.0, empty
        )
        features = blank.features(rows.ts_s, rows.values, rested_h(rows.ts_s, busy))
        day = np.floor(rows.ts_s / DAY_S)
        quiet_weights, levels, off = _fit_quiet(features, logs, quiet, day, setting)
        cells = blank.cells(rows.ts_s, rows.values)
        spreads, calm = _spreads(off, cells, HOURS * (len(combinations) + 1))
        busy_weights, low, high = _fit_busy(features, taken, busy)
        return cls(
            edge_log,
            few,
            combinations,
            drivers,
            center,
            scale,
            quiet_weights,
            busy_weights,
            spreads,
            calm,
            low,
            high,
            levels[-setting.level_days :],
        )

    @cached_property
    def _places(self) -> dict[tuple[float, ...], int]:
        return {tuple(values): at for at, values in enumerate(self.combinations.tolist())}

    def cells(self, ts_s: Floats, values: Floats) -> Ints:
        """Return the place in `spreads` of each interval (n); combinations never seen share one an hour."""
        width = len(self.combinations) + 1
        hours = (ts_s % DAY_S // 3600.0).astype(np.int64)
        return hours * width + self._combinations(values)

    def expect(self, ts_s: float, row: Floats, rested_h: float) -> Expected:
        """Return what is expected of the interval that ends at `ts_s`, `rested_h` after the last busy one."""
        at, values = np.array([ts_s]), row[None, :]
        features = self.features(at, values, np.array([rested_h]))[0]
        return Expected(
            float(features @ self.quiet_weights),
            float(self.spreads[self.cells(at, values)[0]]),
            float(features @ self.busy_weights),
        )

    def features(self, ts_s: Floats, values: Floats, rested_h: Floats) -> Floats:
        """Return (n, 1 + width) what describes n intervals.

        Constant, hour, weekday, rest, combination, hour and combination together, other drivers twice: as
        they are and what is above their median, so that heating and cooling have slopes of their own.
        """
        count, at = len(self.combinations), np.arange(len(ts_s))
        numbers = (values[:, self.drivers] - self.driver_center) / self.driver_scale
        numbers = np.clip(np.where(np.isfinite(numbers), numbers, 0.0), -5.0, 5.0)
        combinations = self._combinations(values)
        hours = (ts_s % DAY_S // 3600.0).astype(np.int64)
        made = np.zeros((len(ts_s), self.width - 2 * len(self.drivers)))
        made[:, 0] = 1.0
        made[at, 1 + hours] = 1.0
        made[at, 1 + HOURS + (ts_s // DAY_S + 3).astype(np.int64) % DAYS] = 1.0
        made[at, 1 + HOURS + DAYS + np.searchsorted(RESTED_H, rested_h)] = 1.0
        known = combinations < count
        first = CALENDAR + combinations
        made[at[known], first[known]] = 1.0
        made[at[known], (first + count + hours * count)[known]] = 1.0
        return np.concatenate([made, numbers, np.maximum(numbers, 0.0)], axis=1)

    @property
    def width(self) -> int:
        """How many features there are."""
        return CALENDAR + len(self.combinations) * (1 + HOURS) + 2 * len(self.drivers)

    def _combinations(self, values: Floats) -> Ints:
        """Return which combination of the few-valued drivers each row has; one more for new ones."""
        found = [self._places.get(tuple(row), len(self.combinations)) for row in values[:, self.few].tolist()]
        return np.array(found, np.int64)

    def pack(self) -> tuple[dict[str, Floats], dict[str, float]]:
        """Return arrays and plain numbers."""
        every = {one.name: getattr(self, one.name) for one in fields(self)}
        arrays = {name: value for name, value in every.items() if isinstance(value, np.ndarray)}
        return arrays, {name: value for name, value in every.items() if name not in arrays}

    @classmethod
    def unpack(cls, arrays: Mapping[str, Floats], numbers: Mapping[str, object]) -> Self:
        """Put it together again. Raises WrongModelError when something is missing or does not fit."""
        names = {one.name for one in fields(cls)}
        plain = all(isinstance(one, (int, float)) for one in numbers.values())
        if names != {*arrays, *numbers} or not plain:
            differ = ", ".join(sorted(names ^ {*arrays, *numbers})) or "numbers"
            raise WrongModelError(f"the stored baseline differs ({differ}); train again")
        made = cls(**arrays, **numbers)  # type: ignore[arg-type]
        count, others = len(made.combinations), len(made.drivers)
        fits = (
            made.combinations.shape == (count, len(made.few))
            and made.quiet_weights.shape == made.busy_weights.shape == (made.width,)
            and made.spreads.shape == (HOURS * (count + 1),)
            and made.driver_center.shape == made.driver_scale.shape == (others,)
        )
        if not fits:
            raise WrongModelError("the stored baseline's arrays do not fit each other; train again")
        return made


def rested_h(ts_s: Floats, busy: NDArray[np.bool_]) -> Floats:
    """Return for each row (n) how long ago the last busy one was, in hours; infinite before the first."""
    return np.asarray((ts_s - np.maximum.accumulate(np.where(busy, ts_s, -np.inf))) / 3600.0)


def lower_of(values: Floats, setting: BaselineSetting) -> Floats:
    """Return for each of n values the lower ones of the last few, as the level watch takes them live."""
    rows, rank = setting.filter_rows, setting.filter_rank
    if not len(values):
        return values
    before = np.concatenate([np.full(rows - 1, values[0]), values])
    return np.asarray(np.sort(np.lib.stride_tricks.sliding_window_view(before, rows), axis=1)[:, rank])


def _edge(logs: Floats) -> float:
    """Split the logarithms in two where it leaves the least variance (Otsu); inf if that explains little."""
    ordered = np.sort(logs)
    count = len(ordered)
    if count < 2 or np.ptp(ordered) <= 0.0:  # noqa: PLR2004
        return float("inf")
    sums, left = np.cumsum(ordered), np.arange(1, count)
    low = sums[:-1] / left
    high = (sums[-1] - sums[:-1]) / (count - left)
    between = left * (count - left) / count**2 * (high - low) ** 2
    at = int(np.argmax(between))
    if between[at] < MODES_EXPLAIN * ordered.var() or high[at] - low[at] < MODES_APART:
        return float("inf")
    return float((low[at] + high[at]) / 2.0)


def _split_drivers(rows: Rows, energy: int) -> tuple[Ints, Floats, Ints]:
    """Return few-valued drivers with their combinations, and the other drivers."""
    places = [at for at in range(len(rows.metrics)) if at != energy]
    values = {at: np.unique(rows.values[np.isfinite(rows.values[:, at]), at]) for at in places}
    few = np.array([at for at in places if 0 < len(values[at]) <= FEW_VALUES], np.int64)
    there = np.isfinite(rows.values[:, few]).all(axis=1)
    combinations = np.unique(rows.values[there][:, few], axis=0)
    while len(combinations) > COMBINATIONS_MOST:
        few = few[:-1]
        combinations = np.unique(rows.values[there][:, few], axis=0)
    return few, combinations, np.array([at for at in places if at not in few and len(values[at])], np.int64)


def _center_and_scale(values: Floats) -> tuple[Floats, Floats]:
    center = np.array([np.median(one[np.isfinite(one)]) for one in values.T])
    scale = np.array([np.std(one[np.isfinite(one)]) for one in values.T])
    return center, np.where(scale > 0.0, scale, 1.0)


def _fit_quiet(
    features: Floats, logs: Floats, quiet: NDArray[np.bool_], day: Floats, setting: BaselineSetting
) -> tuple[Floats, Floats, Floats]:
    """Return weights, the level of each day that had one, and how far each row is off; NaN where unknown."""
    weights, profile = np.zeros(features.shape[1]), np.zeros(len(logs))
    levels, level = np.empty(0), np.full(len(logs), np.nan)
    for turn in range(ROUNDS):
        off = np.full(len(logs), np.nan)
        off[quiet] = lower_of((logs - profile)[quiet], setting)
        found = {
            one: float(np.quantile(off[quiet & (day == one)], setting.level_quantile))
            for one in np.unique(day)
            if (quiet & (day == one)).sum() >= DAY_ROWS_LEAST
        }
        if not found:
            break
        levels = np.array(list(found.values()))
        level = np.array([found.get(one, np.nan) for one in day])
        used = quiet & np.isfinite(level)
        above = logs - level
        nearby = np.clip(above, profile - FAR, profile + FAR) if turn else np.clip(above, -FAR, 2.0 * FAR)
        ridge = Ridge(alpha=RIDGE).fit(features[used][:, 1:], nearby[used])
        weights = np.concatenate([[float(ridge.intercept_)], ridge.coef_])
        profile = features @ weights
        weights[0] -= np.median(profile[quiet])
        profile -= np.median(profile[quiet])
    return weights, levels, np.where(quiet, logs - level - profile, np.nan)


def _spreads(off: Floats, cells: Ints, count: int) -> tuple[Floats, float]:
    """Return the spread of each cell, drawn to that of all where it has few rows, and that of the calmest."""
    there = np.isfinite(off)
    if not there.any():
        return np.ones(count), 1.0
    whole = max(_MAD * float(np.median(np.abs(off[there]))), 1e-3)
    spreads = np.full(count, whole)
    for cell in np.unique(cells[there]):
        own = off[there & (cells == cell)]
        spread = _MAD * float(np.median(np.abs(own)))
        spreads[cell] = np.sqrt((len(own) * spread**2 + PRIOR_ROWS * whole**2) / (len(own) + PRIOR_ROWS))
    return spreads, float(np.quantile(spreads[cells[there]], 0.3))


def _fit_busy(features: Floats, taken: Floats, busy: NDArray[np.bool_]) -> tuple[Floats, float, float]:
    if busy.sum() < DAY_ROWS_LEAST:
        return np.zeros(features.shape[1]), 0.0, 0.0
    ridge = Ridge(alpha=RIDGE).fit(features[busy][:, 1:], taken[busy])
    weights = np.concatenate([[float(ridge.intercept_)], ridge.coef_])
    low, high = np.quantile(taken[busy] - features[busy] @ weights, [0.01, 0.99])
    return weights, float(low), float(high)
