"""All machines of one kind, computed together: one array entry a machine."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from devices.factory import noise
from devices.factory.base import Moment, Outcome
from devices.factory.faults import Fault, FaultKind, severities
from devices.factory.noise import Floats
from devices.factory.plant import MachineSpec
from devices.factory.shifts import Phase, Shifts

_DELAY_MIN: Final = 10.0
_SERVICE_S: Final = 150 * 86_400.0
_DAY_S: Final = 86_400.0
_DIGITS: Final = 4


class Group:
    """The machines of one kind. The caller moves time; `state` is the only memory."""

    def __init__(self, specs: Sequence[MachineSpec], seed: int) -> None:
        """Take machines that are all of one kind."""
        self.specs = specs
        self.kind = specs[0].kind
        self.names = [spec.name for spec in specs]
        self.metrics = list(self.kind.metrics)
        self._index = {name: place for place, name in enumerate(self.names)}
        self._seed = seed
        self._rated_kw = np.array([spec.rated_kw for spec in specs])
        self._nobody = np.zeros(len(specs))
        late_min = _DELAY_MIN * noise.uniform(self._keys("late"))
        self._shifts = Shifts([spec.shifts for spec in specs], late_min)
        self._habit = 0.94 + 0.12 * noise.uniform(self._keys("habit"))
        self._served = noise.uniform(self._keys("served"))
        self._slow, self._brisk = self._keys("slow"), self._keys("brisk")
        self._daily = self._keys("daily")
        self._sensors = np.concatenate([self._keys(f"sensor {metric}") for metric in self.metrics])
        rules = self.kind.metrics.values()
        scale = [self._rated_kw if rule.a_kw else np.ones(len(specs)) for rule in rules]
        pairs = list(zip(rules, scale, strict=True))
        self._noise = np.stack([rule.noise * size for rule, size in pairs])
        self._noise_ratio = np.array([[rule.noise_ratio] for rule in rules])
        self._low = np.array([[rule.low] for rule in rules])
        self._high = np.stack([rule.high * size for rule, size in pairs])

    def _keys(self, what: str) -> noise.Keys:
        return noise.keys(self._seed, *((name, what) for name in self.names))

    def moment(self, at_s: float, outdoor_c: float, faults: Iterable[Fault]) -> tuple[Moment, list[str]]:
        """Return what acts on each machine at `at_s` (seconds since 1970), and its operating mode."""
        phase, open_for_s = self._shifts.at(at_s)
        working = (phase == Phase.WORK).astype(float)
        ready = (phase != Phase.CLOSED).astype(float)
        ramp = np.minimum(open_for_s / self.kind.startup_s, 1.0)
        slow = noise.smooth(self._slow, at_s, 2400.0)
        daily = noise.smooth(self._daily, at_s, _DAY_S)
        load = self.kind.base_load * self._habit * (1.0 + 0.12 * slow + 0.08 * daily)
        now = Moment(
            rated_kw=self._rated_kw,
            load=np.clip(load, 0.0, 1.0) * working * ramp,
            working=working,
            ready=ready,
            ramp=ramp,
            slow=slow,
            brisk=noise.smooth(self._brisk, at_s, 180.0),
            wear=np.mod(at_s / _SERVICE_S + self._served, 1.0),
            outdoor_c=outdoor_c,
            faults=severities(faults, datetime.fromtimestamp(at_s, UTC), self._index, self._nobody),
        )
        return now, self._modes(now)

    def _modes(self, now: Moment) -> list[str]:
        at_rest = "idle" if self.kind.always_on else "off"
        return [
            at_rest if not ready else "idle" if not working else "startup" if ramp < 1.0 else "running"
            for ready, working, ramp in zip(
                now.ready.tolist(), now.working.tolist(), now.ramp.tolist(), strict=True
            )
        ]

    def settled(self, now: Moment) -> dict[str, Floats]:
        """Return the state the machines would have had they been as they are now for long."""
        state = {name: self._nobody.copy() for name in self.kind.lags_s}
        for _ in range(200):
            targets = self.kind.run(now, state).targets
            state = {name: state[name] + 0.2 * (targets[name] - state[name]) for name in state}
        return state

    def moved(self, state: Mapping[str, Floats], outcome: Outcome, by_s: float) -> dict[str, Floats]:
        """Return the state `by_s` seconds on, each lag approaching its target exponentially."""
        return {
            name: value + (outcome.targets[name] - value) * -np.expm1(-by_s / self.kind.lags_s[name])
            for name, value in state.items()
        }

    def measured(self, outcome: Outcome, at_ms: int) -> list[list[float]]:
        """Return what the sensors show, for each machine in the order of `metrics`."""
        true = np.stack([outcome.values[metric] for metric in self.metrics])
        draw = noise.normal(self._sensors, at_ms).reshape(true.shape)
        shown = true + draw * (self._noise * (true != 0.0) + self._noise_ratio * true)
        rows: list[list[float]] = np.round(np.clip(shown, self._low, self._high), _DIGITS).T.tolist()
        return rows

    def stuck_metric(self, fault: Fault) -> str | None:
        """Return which sensor a stuck-sensor fault holds; None where the fault is not of this group."""
        if fault.kind is not FaultKind.STUCK_SENSOR or fault.machine not in self._index:
            return None
        return fault.metric or default_stuck_metric(self.metrics)

    def place(self, machine: str) -> int:
        """Return the index of a machine of this group."""
        return self._index[machine]


def default_stuck_metric(metrics: Iterable[str]) -> str:
    """Return the sensor that sticks when none is named: the temperature, which every kind has."""
    names = list(metrics)
    return "temperature_c" if "temperature_c" in names else names[0]
