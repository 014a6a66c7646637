"""Sensor trouble told from machine trouble: what is stuck, missing or out of range is not the machine's.

The last readings of many machines side by side, one pass over all rows of a tick.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from detector.rows import Floats, Rows
from detector.sensors_past import fill
from detector.sensors_table import FINE, MISSING, OUT_OF_RANGE, STUCK, Table
from detector.signals import SignalFacts
from detector.signals_rates import CounterRate
from detector.tuning import SensorSetting

Bools = NDArray[np.bool_]
Slots = NDArray[np.int64]
TroubleType = Literal["stuck_sensor", "missing_data", "out_of_range"]
TYPES: Final[dict[int, TroubleType]] = {
    STUCK: "stuck_sensor",
    MISSING: "missing_data",
    OUT_OF_RANGE: "out_of_range",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One sensor in trouble since `since_s` (epoch), all in the metric's own unit.

    `value` is what it is stuck at, the last one before it went missing (`expected` if none came), or the
    impossible one. `expected` is
    the median in training, `low` to `high` the range in training, or what is possible when it is out of that;
    of a counter all are the last good reading.
    """

    metric: str
    anomaly_type: TroubleType
    since_s: float
    value: float
    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Checked:
    """Rows (n) after the check.

    `values` (n, metrics) is what the model may see: rates for counters, NaN for what is in trouble. `trouble`
    says that a sensor of the machine is in trouble, `apart` that the row must not be set against the one
    before it: the first of a machine, after a gap, or after its clock jumped.
    """

    values: Floats
    trouble: Bools
    apart: Bools


class SensorBank:
    """The sensors of machines with the same number of metrics, each machine in a slot."""

    def __init__(self, metrics: int, setting: SensorSetting | None = None) -> None:
        self.setting = setting or SensorSetting()
        self._table = Table(metrics, self.setting)
        self._facts: dict[int, SignalFacts] = {}
        self._rates: dict[int, dict[int, CounterRate]] = {}
        self._free: list[int] = []

    def add(self, facts: SignalFacts) -> int:
        """Take a machine in and return its slot, which may be one that was freed.

        Raises ValueError when its metrics are not as many as the bank's.
        """
        if len(facts.metrics) != self._table.metrics:
            msg = (
                f"{len(facts.metrics)} metrics do not fit a bank of {self._table.metrics}: take another bank"
            )
            raise ValueError(msg)
        slot = self._free.pop() if self._free else self._table.grow()
        self._table.clear(slot)
        self._learn(slot, facts)
        return slot

    def warm(self, slot: int, past: Rows) -> None:
        """Show a machine its past, raw rows in order of time, as if they had come; nothing is in trouble yet.

        So a value that stood still before a restart has been standing since then.
        """
        facts = self._facts[slot]
        fill(self._table, slot, facts, past)
        past = facts.sane(past)
        for at, rate in self._rates.get(slot, {}).items():
            for ts_s, reading in zip(past.ts_s.tolist(), past.values[:, at].tolist(), strict=True):
                rate.take(ts_s, reading)

    def replace(self, slot: int, facts: SignalFacts) -> None:
        """Go on with facts learnt anew; what has been seen of the sensors stays.

        Raises ValueError when the metrics are others: then remove the slot and add the machine again.
        """
        if facts.metrics != self._facts[slot].metrics:
            held = ", ".join(self._facts[slot].metrics)
            msg = f"the slot is of {held}, not {', '.join(facts.metrics)}: remove it, add the machine again"
            raise ValueError(msg)
        self._learn(slot, facts)

    def remove(self, slot: int) -> None:
        """Forget a machine; its slot is given to the next one."""
        del self._facts[slot]
        self._rates.pop(slot, None)
        self._free.append(slot)

    def check(self, slots: Slots, ts_s: Floats, values: Floats) -> Checked:
        """Take one row each of distinct machines: their slots and times (n), raw `values` (n, metrics).

        NaN is a metric that did not come. Nothing given is changed.
        """
        table = self._table
        passed_s = table.move_on(slots, ts_s)
        impossible = table.impossible(slots, values)
        sane = np.where(impossible, np.nan, values)
        stuck = table.stuck(slots, ts_s, passed_s, sane)
        missing = table.missing(slots, passed_s, values)
        amiss = (impossible | stuck | missing).any(axis=1) | table.restless[slots]
        trouble = np.zeros(len(slots), bool)
        if amiss.any():
            some = slots[amiss]
            table.judge(some, ts_s[amiss], values[amiss], impossible[amiss], stuck[amiss], missing[amiss])
            bad = table.kind[some] != FINE
            sane[amiss] = np.where(bad, np.nan, sane[amiss])
            trouble[amiss] = bad.any(axis=1)
        if self._rates:
            self._count(slots, ts_s, sane)
        return Checked(sane, trouble, np.isnan(passed_s))

    def troubles(self, slot: int) -> tuple[Trouble, ...]:
        """Return the sensors of a machine that are in trouble, in the order of its metrics."""
        table, facts = self._table, self._facts[slot]
        return tuple(self._trouble(slot, int(at), facts) for at in np.flatnonzero(table.kind[slot] != FINE))

    @property
    def memory_bytes(self) -> int:
        """Return what the arrays take, for all slots there are."""
        return self._table.memory_bytes

    def _trouble(self, slot: int, at: int, facts: SignalFacts) -> Trouble:
        table = self._table
        kind = int(table.kind[slot, at])
        expected, low, high = float(facts.median[at]), float(facts.seen_low[at]), float(facts.seen_high[at])
        if at in facts.counters:
            expected = low = high = float(table.last[slot, at])
        elif kind == OUT_OF_RANGE:
            low = _finite(facts.limit_low[at], low)
            high = _finite(facts.limit_high[at], high)
        value = _finite(table.value[slot, at], expected)
        since_s = float(table.since_s[slot, at])
        return Trouble(facts.metrics[at], TYPES[kind], since_s, value, expected, low, high)

    def _learn(self, slot: int, facts: SignalFacts) -> None:
        self._facts[slot] = facts
        self._table.learn(slot, facts)
        before = self._rates.pop(slot, {})
        if facts.counters:
            self._rates[slot] = {at: CounterRate(rule) for at, rule in facts.counters.items()}
            for at in before.keys() & facts.counters.keys():
                before[at].rule = facts.counters[at]
                self._rates[slot][at] = before[at]

    def _count(self, slots: Slots, ts_s: Floats, values: Floats) -> None:
        """Put rates where counters are."""
        for place in np.flatnonzero(self._table.counting[slots]):
            for at, rate in self._rates[int(slots[place])].items():
                values[place, at] = rate.take(float(ts_s[place]), float(values[place, at]))


def _finite(value: float, otherwise: float) -> float:
    return float(value) if np.isfinite(value) else otherwise
