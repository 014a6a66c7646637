"""What models learn from and score: counters as rates, and no reading that cannot be.

What must be known for that is learnt once from a machine's past and stored beside its model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from broker.messages import MetricInfo
from detector.rows import Floats, Rows, usual_period_s
from detector.sensors_limits import Limits, limits, probes, sentinel
from detector.signals_rates import CounterRule, counter_rule, counts, rates
from detector.signals_still import GATES, Still, still
from detector.tuning import SensorSetting

Bools = NDArray[np.bool_]
ARRAYS: Final[Mapping[str, tuple[int, ...]]] = {
    "present_share": (),
    "seen_low": (),
    "seen_high": (),
    "median": (),
    "limit_low": (),
    "limit_high": (),
    "changes": (),
    "still_rows": (2,),
    "still_s": (2,),
    "gates": (GATES,),
    "gate_low": (GATES,),
    "gate_high": (GATES,),
    "counter": (4,),
}
"""What a SignalFacts is stored as, with what follows (metrics) in each array's shape."""


class WrongFactsError(ValueError):
    """The stored facts of a machine's signals are not what this version can use; train it again."""


@dataclass(frozen=True, slots=True)
class SignalFacts:
    """What training showed of each metric, all arrays by metric in the order of `metrics`, in its own unit.

    `present_share` is 0..1. `seen_low` to `seen_high` is the range in training, NaN where it never came, and
    `limit_low`, `limit_high` what is beyond what can be. `counters` are the rules of those that count.
    """

    metrics: tuple[str, ...]
    period_s: float
    gap_s: float
    present_share: Floats
    seen_low: Floats
    seen_high: Floats
    median: Floats
    limit_low: Floats
    limit_high: Floats
    still: Still
    counters: Mapping[int, CounterRule]

    @classmethod
    def learn(
        cls, rows: Rows, announced: Mapping[str, MetricInfo], setting: SensorSetting | None = None
    ) -> Self:
        """Learn from rows as they came, before any are left out; `announced` is what `machine/…` says."""
        setting = setting or SensorSetting()
        period_s = usual_period_s(rows.ts_s)
        gap_s = max(setting.gap_periods * period_s, setting.gap_s)
        counters = {
            at: counter_rule(rows.ts_s, rows.values[:, at], period_s, gap_s)
            for at, metric in enumerate(rows.metrics)
            if counts(metric, rows.values[:, at])
        }
        low, high = _quantile(rows.values, 0.0), _quantile(rows.values, 1.0)
        for at in counters:
            high[at] = np.inf
        allowed = limits(rows.metrics, announced, Limits(low, high))
        sane = cleaned(
            rows, low=_quantile(rows.values, 0.01), high=_quantile(rows.values, 0.99), limit=allowed
        )
        low, high = _quantile(sane.values, 0.0), _quantile(sane.values, 1.0)
        for at in counters:
            high[at] = np.inf
        return cls(
            rows.metrics,
            period_s,
            gap_s,
            np.isfinite(rows.values).mean(axis=0) if len(rows) else np.zeros(len(rows.metrics)),
            low,
            high,
            _quantile(sane.values, 0.5),
            allowed.low,
            allowed.high,
            still(sane, gap_s),
            counters,
        )

    def signals(self, rows: Rows) -> Rows:
        """Return what a model learns from: as `SensorBank.check` gives it live while no sensor is in trouble.

        Counters are rates per hour; what is beyond its limits, or a mark of "no reading", is NaN. Columns are
        those of `metrics`; the rows themselves stay as they are.
        """
        sane = self.sane(rows)
        if not self.counters:
            return sane
        values = sane.values.copy()
        for at, rule in self.counters.items():
            values[:, at] = rates(rule, sane.ts_s, values[:, at])
        return Rows(self.metrics, sane.ts_s, values)

    def sane(self, rows: Rows) -> Rows:
        """Return the rows with the columns of `metrics`, NaN for what cannot be; counters as they are."""
        limit = Limits(self.limit_low, self.limit_high)
        return cleaned(rows.of(self.metrics), low=self.seen_low, high=self.seen_high, limit=limit)

    def pack(self) -> tuple[dict[str, NDArray[Any]], dict[str, object]]:
        """Return the arrays, and what goes into JSON beside them, that make the same facts again."""
        counter = np.full((len(self.metrics), 4), np.nan)
        for at, rule in self.counters.items():
            counter[at] = (rule.step, rule.hold_s, rule.wait_s, rule.gap_s)
        held = {
            name: getattr(self if hasattr(self, name) else self.still, name)
            for name in ARRAYS
            if name != "counter"
        }
        facts: dict[str, object] = {
            "metrics": list(self.metrics),
            "period_s": self.period_s,
            "gap_s": self.gap_s,
        }
        return {**held, "counter": counter}, facts

    @classmethod
    def unpack(cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, object]) -> Self:
        """Make the facts that were packed. Raises WrongFactsError when shapes or names do not fit."""
        names, period_s, gap_s = facts.get("metrics"), facts.get("period_s"), facts.get("gap_s")
        if not isinstance(names, (list, tuple)) or not isinstance(period_s, (int, float)):
            msg = "the facts of the signals name no metrics or no period; train again"
            raise WrongFactsError(msg)
        for name, rest in ARRAYS.items():
            found = arrays[name].shape if name in arrays else None
            if found != (len(names), *rest):
                msg = f"{name} of the signals is {found}, not {(len(names), *rest)}; train again"
                raise WrongFactsError(msg)
        held = {name: arrays[name] for name in ARRAYS}
        counter = held.pop("counter")
        own = Still(**{name: held.pop(name) for name in Still.__dataclass_fields__})
        counters = {
            int(at): CounterRule(*counter[at].tolist()) for at in np.flatnonzero(np.isfinite(counter[:, 0]))
        }
        metrics = tuple(str(name) for name in names)
        gap = float(gap_s) if isinstance(gap_s, (int, float)) else SensorSetting().gap_s
        return cls(metrics, float(period_s), gap, **held, still=own, counters=counters)


def cleaned(rows: Rows, *, low: Floats, high: Floats, limit: Limits) -> Rows:
    """Return the rows without readings that cannot be; `low` to `high` (metrics) is the usual range."""
    values = rows.values
    impossible = (values < limit.low) | (values > limit.high)
    odd = (values < low - (high - low)) | (values > high + (high - low))
    for metric in np.flatnonzero(odd.any(axis=0)):
        _add_marks(
            impossible[:, metric],
            values[:, metric],
            odd[:, metric],
            low[[metric]],
            high[[metric]],
            probes(rows.metrics)[[metric]],
        )
    if not impossible.any():
        return rows
    return Rows(rows.metrics, rows.ts_s, np.where(impossible, np.nan, values))


def _add_marks(
    impossible: Bools, values: Floats, odd: Bools, low: Floats, high: Floats, probe: Bools
) -> None:
    """Add to what is impossible (n) the marks among odd values, each set against the last good one."""
    before = np.array([np.nan])
    seen = 0
    for at in np.flatnonzero(odd & ~impossible):
        good = np.flatnonzero(np.isfinite(values[seen:at]) & ~impossible[seen:at])
        if len(good):
            before = values[[seen + good[-1]]]
        seen = int(at)
        impossible[at] = sentinel(values[[at]], before, low, high, probe)[0]


def _quantile(values: Floats, share: float) -> Floats:
    """Return a quantile of each column's finite values, NaN where it has none."""
    found = np.full(values.shape[1], np.nan)
    for at in range(values.shape[1]):
        there = values[np.isfinite(values[:, at]), at]
        if len(there):
            found[at] = np.quantile(there, share)
    return found
