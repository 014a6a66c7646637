"""The sensors of many machines as arrays: what each has shown, and what training allows it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.rows import Floats
from detector.sensors_limits import probes, sentinel
from detector.signals import SignalFacts
from detector.signals_still import AT_END, GATES, INSIDE
from detector.tuning import SensorSetting

Bools = NDArray[np.bool_]
Slots = NDArray[np.int64]
FINE, STUCK, MISSING, OUT_OF_RANGE = range(4)

SEEN: Final[dict[str, tuple[float, type]]] = {
    "last": (np.nan, np.float64),
    "run_rows": (0, np.int32),
    "run_s": (0.0, np.float64),
    "run_since_s": (np.nan, np.float64),
    "absent_s": (0.0, np.float64),
    "strange_rows": (0, np.int32),
    "strange_since_s": (np.nan, np.float64),
    "kind": (FINE, np.int8),
    "since_s": (np.nan, np.float64),
    "value": (np.nan, np.float64),
    "good_rows": (0, np.int32),
    "good_since_s": (np.nan, np.float64),
}
"""What is kept of each sensor, and how it begins. Readings that cannot be are never `last`."""


class Table:
    """All arrays are (slots, metrics, …). Rows: slots (n, distinct), times (n), values (n, metrics)."""

    def __init__(self, metrics: int, setting: SensorSetting) -> None:
        self.metrics, self.setting = metrics, setting
        self.slots = 0
        self.last = self.run_s = self.run_since_s = self.absent_s = np.empty((0, metrics))
        self.since_s = self.value = self.good_since_s = self.strange_since_s = np.empty((0, metrics))
        self.run_rows = self.strange_rows = self.good_rows = np.empty((0, metrics), np.int32)
        self.kind = np.empty((0, metrics), np.int8)
        self.limit_low = self.limit_high = self.seen_low = self.seen_high = np.empty((0, metrics))
        self.odd_low = self.odd_high = self.missing_s = np.empty((0, metrics))
        self.need_rows = self.need_s = np.empty((0, metrics, 2))
        self.gates = np.empty((0, metrics, GATES), np.int16)
        self.gate_low = self.gate_high = np.empty((0, metrics, GATES))
        self.probe = np.empty((0, metrics), bool)
        self.last_s = self.gap_s = np.empty(0)
        self.counting = self.restless = np.empty(0, bool)

    def grow(self) -> int:
        """Return a slot that has not been used."""
        if self.slots == len(self.last_s):
            size = max(16, 2 * self.slots)
            for name, held in vars(self).items():
                if isinstance(held, np.ndarray):
                    larger = np.zeros((size, *held.shape[1:]), held.dtype)
                    larger[: self.slots] = held
                    setattr(self, name, larger)
        self.slots += 1
        return self.slots - 1

    def clear(self, slot: int) -> None:
        """Forget what a slot has seen."""
        for name, (begin, _) in SEEN.items():
            getattr(self, name)[slot] = begin
        self.last_s[slot] = np.nan
        self.restless[slot] = False

    def learn(self, slot: int, facts: SignalFacts) -> None:
        """Note what training allows the sensors of a machine."""
        setting, still = self.setting, facts.still
        width = facts.seen_high - facts.seen_low
        self.limit_low[slot], self.limit_high[slot] = facts.limit_low, facts.limit_high
        self.seen_low[slot], self.seen_high[slot] = facts.seen_low, facts.seen_high
        self.odd_low[slot], self.odd_high[slot] = facts.seen_low - width, facts.seen_high + width
        self.probe[slot] = probes(facts.metrics)
        most_s = max(setting.still_most_s, setting.still_most_periods * facts.period_s)
        untold = (still.still_s > most_s) | (still.changes < setting.changes_least)[:, None]
        rows = setting.stuck_factor * (still.still_rows + 1.0)
        seconds = setting.stuck_factor * np.maximum(still.still_s, facts.period_s)
        self.need_rows[slot] = np.where(untold, np.inf, rows)
        self.need_s[slot] = np.maximum(seconds, setting.stuck_s)
        self.gates[slot] = still.gates
        self.gate_low[slot], self.gate_high[slot] = still.gate_low, still.gate_high
        missing_s = max(setting.missing_periods * facts.period_s, setting.missing_s)
        self.missing_s[slot] = np.where(facts.present_share >= setting.present_least, missing_s, np.inf)
        self.gap_s[slot] = facts.gap_s
        self.counting[slot] = bool(facts.counters)

    def move_on(self, slots: Slots, ts_s: Floats) -> Floats:
        """Return the seconds since each machine's last row; NaN for its first, after a gap, back in time."""
        passed_s = ts_s - self.last_s[slots]
        self.last_s[slots] = ts_s
        return np.where((passed_s > 0.0) & (passed_s <= self.gap_s[slots]), passed_s, np.nan)

    def impossible(self, slots: Slots, values: Floats) -> Bools:
        """Return which values are beyond their limits, or marks of "no reading"."""
        beyond = (values < self.limit_low[slots]) | (values > self.limit_high[slots])
        odd = (values < self.odd_low[slots]) | (values > self.odd_high[slots])
        if odd.any():
            at, metric = np.nonzero(odd)
            of = slots[at], metric
            beyond[at, metric] |= sentinel(
                values[at, metric], self.last[of], self.seen_low[of], self.seen_high[of], self.probe[of]
            )
        return beyond

    def stuck(self, slots: Slots, ts_s: Floats, passed_s: Floats, values: Floats) -> Bools:
        """Take the readings that can be and return which have not changed for longer than they may."""
        before = self.last[slots]
        same = values == before
        there = values == values  # noqa: PLR0124 - false for NaN alone
        changed = there & ~same
        run_rows, run_s, since_s = self.run_rows[slots], self.run_s[slots], self.run_since_s[slots]
        run_rows[changed], run_s[changed] = 0, 0.0
        stuck = np.zeros(values.shape, bool)
        at, metric = np.nonzero(same)
        if len(at):
            counted = self._moving(slots, values, changed & ~np.isnan(before), at, metric) & np.isfinite(
                passed_s[at]
            )
            run_rows[at, metric] += counted
            run_s[at, metric] += np.where(counted, passed_s[at], 0.0)
            of = slots[at], metric
            held = values[at, metric]
            place = np.where((held == self.seen_low[of]) | (held == self.seen_high[of]), AT_END, INSIDE)
            stuck[at, metric] = (run_rows[at, metric] >= self.need_rows[(*of, place)]) & (
                run_s[at, metric] >= self.need_s[(*of, place)]
            )
        self.run_rows[slots], self.run_s[slots] = run_rows, run_s
        self.run_since_s[slots] = np.where(changed, ts_s[:, None], since_s)
        self.last[slots] = np.where(there, values, before)
        return stuck

    def _moving(self, slots: Slots, values: Floats, moved: Bools, at: Slots, metric: Slots) -> Bools:
        """Return for each cell whether the metrics it moves with move as they do then."""
        ok: Bools = np.ones(len(at), bool)
        gated = np.flatnonzero(self.gates[slots[at], metric, 0] >= 0)
        if not len(gated):
            return ok
        at, of = at[gated], (slots[at[gated]], metric[gated])
        for one in range(GATES):
            gate: Slots = self.gates[(*of, one)]
            value = values[at, gate]
            usual = (value >= self.gate_low[(*of, one)]) & (value <= self.gate_high[(*of, one)])
            ok[gated] &= (gate < 0) | (moved[at, gate] & usual)
        return ok

    def missing(self, slots: Slots, passed_s: Floats, values: Floats) -> Bools:
        """Return which metrics have not come for too long while others did."""
        absent: Bools = values != values  # noqa: PLR0124 - true for NaN alone
        if not absent.any():
            self.absent_s[slots] = 0.0
            return absent
        others = ~absent.all(axis=1, keepdims=True)
        more_s = np.where(others, np.nan_to_num(passed_s)[:, None], 0.0)
        absent_s = np.where(absent, self.absent_s[slots] + more_s, 0.0)
        self.absent_s[slots] = absent_s
        return absent & others & (absent_s > self.missing_s[slots])

    def judge(
        self, slots: Slots, ts_s: Floats, values: Floats, impossible: Bools, stuck: Bools, missing: Bools
    ) -> None:
        """Begin, change and end troubles of machines of which at least one sensor is not as it should be."""
        now_s = np.broadcast_to(ts_s[:, None], values.shape)
        there = values == values  # noqa: PLR0124 - false for NaN alone
        strange = np.where(
            impossible, self.strange_rows[slots] + 1, np.where(there, 0, self.strange_rows[slots])
        )
        strange_since_s = np.where(impossible & (strange == 1), now_s, self.strange_since_s[slots])
        kind, since_s = self.kind[slots], self.since_s[slots]
        told = impossible & (strange >= self.setting.strange_rows)
        found = np.select([told, missing, stuck], [OUT_OF_RANGE, MISSING, STUCK], FINE).astype(np.int8)
        begins = (found != FINE) & (found != kind)
        began_s = np.select(
            [told, missing], [strange_since_s, now_s - self.absent_s[slots]], self.run_since_s[slots]
        )
        shown = np.where(missing, self.last[slots], values)
        bad = impossible | missing | stuck
        good_rows = np.where(bad, 0, self.good_rows[slots] + there)
        good_since_s = np.where((good_rows == 1) & there, now_s, self.good_since_s[slots])
        ends = ~bad & (good_rows >= self.setting.good_rows) & (now_s - good_since_s >= self.setting.good_s)
        kind = np.where(begins, found, np.where(ends, FINE, kind)).astype(np.int8)
        self.value[slots] = np.where(begins | told, shown, self.value[slots])
        self.since_s[slots] = np.where(begins, began_s, since_s)
        self.kind[slots] = kind
        self.strange_rows[slots], self.strange_since_s[slots] = strange, strange_since_s
        self.good_rows[slots], self.good_since_s[slots] = good_rows, good_since_s
        self.restless[slots] = ((kind != FINE) | (strange > 0)).any(axis=1)

    @property
    def memory_bytes(self) -> int:
        """Return what the arrays take."""
        return sum(held.nbytes for held in vars(self).values() if isinstance(held, np.ndarray))
