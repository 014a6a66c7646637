"""A meter against its baseline: what energy an interval takes, and whether more of it is used than needed.

Kept apart: what is expected (`baseline_expected`), who watches it (`baseline_watch`), and how a machine is
followed row by row (`baseline_follower`). This is what is learnt, and how it is stored.
"""

from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from broker.units import unit_of
from detector.models.base import Follower, Model, Patience, TooFewRowsError, WrongModelError, metrics_in
from detector.models.baseline_expected import DAY_S, Expectation, Expected, rested_h
from detector.models.baseline_follower import BaselineFollower
from detector.models.baseline_watch import LevelWatch, SpikeWatch, StillWatch, longest_run
from detector.rows import Rows, usual_period_s
from detector.tuning import BaselineSetting, Tuning

PERIOD_LEAST_S: Final = 300.0
"""Rows nearer together are of a machine at work, not of a meter's intervals."""
ENERGY_UNITS: Final = ("kWh", "kW")
DRIVER_UNITS: Final = frozenset({"°C", "°F", "count", "pcs"})
VALUES_FEW: Final = 6
STATE_WORDS: Final = ("status", "load_type", "mode", "shift", "product", "holiday", "flag", "count", "temp")
ROOM_DAYS: Final = 14.0
"""So many days may be without a level of their own, alarms among them, before the past is too short."""
LOOSER: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0)
SPIKES_MOST: Final = 6
STILL_SHARE: Final = 0.1
NEVER: Final = 1 << 53


@dataclass(frozen=True)
class BaselineModel(Model):
    """What training showed of the meter, in its unit, and what it can do when nothing is wrong.

    `energy` is its column. It may show the same value for `same_most` rows and none, below `none_below`, for
    `none_most`; its quiet level may be `allowed` (natural logarithm) too high. `spike_count` make an alarm.
    """

    kind: ClassVar[str] = "baseline"

    metrics: tuple[str, ...]
    samples: int
    period_s: float
    energy: int
    mean: float
    highest: float
    same_most: int
    none_most: int
    none_below: float
    allowed: float
    spike_count: int
    setting: BaselineSetting
    expectation: Expectation

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return what is watched, and the drivers it is set against."""
        drivers = [f"driver.{name}" for at, name in enumerate(self.metrics) if at != self.energy]
        return (*(f"{self.metrics[self.energy]}.{what}" for what in ("level", "spike", "still")), *drivers)

    @property
    def span_s(self) -> float:  # type: ignore[override]
        """Return a quarter of a day: the quiet hours an alarm takes to open."""
        return DAY_S / 4.0

    @property
    def reach_s(self) -> float:  # type: ignore[override]
        """Return the time in which every day the level rests on has been replaced."""
        return (self.setting.level_days + ROOM_DAYS) * DAY_S

    @property
    def patience(self) -> Patience:  # type: ignore[override]
        """Believe a row at once: the follower itself has waited long enough, and holds what it says."""
        return Patience(rows=1, least_s=0.0, calm_ratio=0.9, calm_s=0.0, hole_s=2.0 * DAY_S, window_s=DAY_S)

    @classmethod
    def learn(cls, rows: Rows, tuning: Tuning) -> Self:
        """Learn what is expected, then how far training itself departs from it."""
        setting = tuning.baseline
        energy = energy_column(rows)
        if energy is None:
            raise TooFewRowsError(f"none of {', '.join(rows.metrics)} is energy in kWh or power in kW")
        rows = rows.where(np.isfinite(rows.values[:, energy]))
        days = (rows.ts_s[-1] - rows.ts_s[0]) / DAY_S if len(rows) else 0.0
        if days < setting.train_days_least:
            raise TooFewRowsError(
                f"{days:.1f} days are too few to learn a meter's week; it takes {setting.train_days_least:g}"
            )
        taken = rows.values[:, energy]
        positive = taken[taken > 0.0]
        if len(positive) < len(rows) / 2:
            raise TooFewRowsError(f"{rows.metrics[energy]} is hardly ever above 0")
        none_below = 0.5 * float(np.quantile(positive, 0.001))
        none = longest_run([bool(one) for one in taken <= none_below])
        above = taken > none_below
        same = longest_run([bool(one) for one in (np.diff(taken) == 0.0) & above[1:]]) + 1
        made = cls(
            metrics=rows.metrics,
            samples=len(rows),
            period_s=usual_period_s(rows.ts_s),
            energy=energy,
            mean=float(taken.mean()),
            highest=float(taken.max()),
            same_most=_most(same + setting.still_more - 1, setting.same_least, len(rows)),
            none_most=_most(2 * none, setting.none_least, len(rows)),
            none_below=none_below,
            allowed=setting.allowed,
            spike_count=setting.spike_count,
            setting=setting,
            expectation=Expectation.learn(rows, energy, setting),
        )
        return made.calmed(rows)

    def calmed(self, rows: Rows) -> Self:
        """Return the same model with limits at which training itself raises hardly an alarm."""
        weeks = max((rows.ts_s[-1] - rows.ts_s[0]) / (7.0 * DAY_S), 1.0)
        most = 1.0 + weeks * self.setting.alarms_a_week
        taken = rows.values[:, self.energy]
        logs = np.log(np.maximum(taken, 1e-12))
        quiet = (taken > self.none_below) & (logs < self.expectation.edge_log)
        busy = (taken > self.none_below) & ~quiet
        features = self.expectation.features(rows.ts_s, rows.values, rested_h(rows.ts_s, busy))
        expected = features @ self.expectation.quiet_weights
        spreads = self.expectation.spreads[self.expectation.cells(rows.ts_s, rows.values)]
        past = [
            (float(rows.ts_s[at]), float(logs[at]), Expected(float(expected[at]), float(spreads[at]), 0.0))
            for at in np.flatnonzero(quiet)
        ]
        allowed = next(
            (one for factor in LOOSER if self._alarms(past, one := factor * self.setting.allowed) <= most),
            LOOSER[-1] * self.setting.allowed,
        )
        counts = range(self.setting.spike_count, SPIKES_MOST + 1)
        spikes = next((one for one in counts if self._spikes(rows, one) <= most), len(rows))
        return replace(self, allowed=allowed, spike_count=spikes)

    def level_watch(self, allowed: float | None = None, *, anew: bool = False) -> LevelWatch:
        """Return a watch that begins with the levels of training, or without any."""
        levels = [] if anew else self.expectation.levels.tolist()
        return LevelWatch(self.setting, deque(levels), self.allowed if allowed is None else allowed)

    def spike_watch(self, count: int | None = None) -> SpikeWatch:
        """Return a watch that has seen nothing."""
        edge = float(np.exp(self.expectation.edge_log))
        rise = self.setting.spike_of_mean * self.mean
        return SpikeWatch(self.setting, edge, rise, self.highest, count or self.spike_count)

    def still_watch(self) -> StillWatch:
        """Return a watch that has seen nothing."""
        return StillWatch(self.same_most, self.none_most, self.none_below)

    def _alarms(self, past: list[tuple[float, float, Expected]], allowed: float) -> int:
        watch, alarms = self.level_watch(allowed, anew=True), 0
        for ts_s, log, expected in past:
            before = watch.open
            watch.begin_interval(ts_s)
            watch.quiet(ts_s, log, expected, self.expectation.calm_spread)
            alarms += watch.open and not before
        return alarms

    def _spikes(self, rows: Rows, count: int) -> int:
        watch, alarms, before = self.spike_watch(count), 0, False
        for ts_s, value in zip(rows.ts_s.tolist(), rows.values[:, self.energy].tolist(), strict=True):
            now = watch.take(ts_s, value) >= 1.0
            alarms, before = alarms + (now and not before), now
        return alarms

    def follow(self, before: Follower | None = None) -> Follower:
        """Return a follower; the watches of the one before go on."""
        return BaselineFollower(self, before if isinstance(before, BaselineFollower) else None)

    def _fields(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in type(self).__dataclass_fields__ if name != "kind"}

    def pack(self) -> tuple[dict[str, NDArray], dict[str, object]]:  # type: ignore[type-arg]
        """Pack the expectation's arrays; all else is plain."""
        arrays, numbers = self.expectation.pack()
        plain = {name: one for name, one in self._fields().items() if name not in {"setting", "expectation"}}
        edge = None if np.isinf(self.expectation.edge_log) else self.expectation.edge_log
        return dict(arrays), {
            **plain,
            "setting": asdict(self.setting),
            "expected": {**numbers, "edge_log": edge},
        }

    @classmethod
    def unpack(cls, arrays: dict[str, NDArray], facts: dict[str, object]) -> Self:  # type: ignore[type-arg]
        """Check that everything is there and fits, then put it together."""
        metrics, numbers = metrics_in(facts), facts.get("expected")
        plain = {name: one for name, one in facts.items() if name not in {"setting", "expected", "metrics"}}
        wanted = set(cls.__dataclass_fields__) - {"setting", "expectation", "metrics", "kind"}
        if set(plain) != wanted or not isinstance(numbers, dict):
            raise WrongModelError("the stored baseline is incomplete; train again")
        try:
            setting = msgspec.convert(facts.get("setting"), BaselineSetting)
        except msgspec.ValidationError as error:
            raise WrongModelError(f"the stored setting is incomplete ({error}); train again") from error
        numbers = {**numbers, "edge_log": np.inf if numbers.get("edge_log") is None else numbers["edge_log"]}
        expectation = Expectation.unpack(arrays, numbers)
        places = {*expectation.few.tolist(), *expectation.drivers.tolist(), plain["energy"]}
        if not places <= set(range(len(metrics))):
            raise WrongModelError(
                f"the stored baseline knows other metrics than {', '.join(metrics)}; train again"
            )
        parts = {**plain, "metrics": metrics, "setting": setting, "expectation": expectation}
        return cls(**parts)  # type: ignore[arg-type]


def _most(rows: int, least: int, of: int) -> int:
    """Return how long it may last; for ever where training itself stood still for a tenth of its rows."""
    return NEVER if rows > STILL_SHARE * of else max(least, rows)


def energy_column(rows: Rows) -> int | None:
    """Return the column of the meter: energy in kWh, else power in kW; None where there is neither."""
    for unit in ENERGY_UNITS:
        found = [at for at, metric in enumerate(rows.metrics) if unit_of(metric) == unit]
        if found:
            return found[0]
    return None


def supports(rows: Rows) -> bool:
    """Whether rows are metered energy: intervals of five minutes or more, one meter, the rest its drivers."""
    if len(rows) < 2 or usual_period_s(rows.ts_s) < PERIOD_LEAST_S:  # noqa: PLR2004
        return False
    energy = energy_column(rows)
    if energy is None or sum(unit_of(metric) in ENERGY_UNITS for metric in rows.metrics) > 1:
        return False
    return all(_drives(rows, at) for at in range(len(rows.metrics)) if at != energy)


def _drives(rows: Rows, column: int) -> bool:
    values, name = rows.values[:, column], rows.metrics[column]
    few = len(np.unique(values[np.isfinite(values)])) <= VALUES_FEW
    return few or unit_of(name) in DRIVER_UNITS or any(word in name for word in STATE_WORDS)
