"""What acts on every machine of the plant at one time: calendar, demand, weather, wear, faults."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from devices.factory import noise
from devices.factory.base import Moment
from devices.factory.faults import Fault, FaultKind, severities
from devices.factory.noise import Floats
from devices.factory.plant import MachineSpec
from devices.factory.shifts import Phase, Shifts
from devices.factory.weather import Weather

_LATE_MIN: Final = 10.0
_SERVICE_S: Final = 150 * 86_400.0
_DAY_S: Final = 86_400.0
_SLOW_S: Final = 2400.0
_BRISK_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class Around:
    """The moment of the whole plant; its arrays have one entry a machine, in the plant's order."""

    moment: Moment
    modes: list[str]

    def of(self, machines: slice) -> Moment:
        """Return the moment of some neighbouring machines."""
        whole = self.moment
        return Moment(
            rated_kw=whole.rated_kw[machines],
            load=whole.load[machines],
            working=whole.working[machines],
            ready=whole.ready[machines],
            ramp=whole.ramp[machines],
            slow=whole.slow[machines],
            brisk=whole.brisk[machines],
            wear=whole.wear[machines],
            outdoor_c=whole.outdoor_c,
            faults=_cut(whole.faults, machines),
        )


def _cut(faults: dict[FaultKind, Floats], machines: slice) -> dict[FaultKind, Floats]:
    return {kind: severity[machines] for kind, severity in faults.items() if severity[machines].any()}


class Surroundings:
    """A pure function of time and faults for the machines it was made for."""

    def __init__(self, specs: Sequence[MachineSpec], seed: int) -> None:
        names = [spec.name for spec in specs]

        def own(what: str) -> noise.Keys:
            return noise.keys(seed, *((name, what) for name in names))

        self._weather = Weather(seed)
        self._rated_kw = np.array([spec.rated_kw for spec in specs])
        self._nobody = np.zeros(len(specs))
        self._index = {name: place for place, name in enumerate(names)}
        late_min = _LATE_MIN * noise.uniform(own("late"))
        self._shifts = Shifts([spec.shifts for spec in specs], late_min)
        self._startup_s = np.array([spec.kind.startup_s for spec in specs])
        self._at_rest = ["idle" if spec.kind.always_on else "off" for spec in specs]
        self._served = noise.uniform(own("served"))
        base = np.array([spec.kind.base_load for spec in specs])
        self._usual_load = base * (0.94 + 0.12 * noise.uniform(own("habit")))
        self._slow = noise.Smooth(own("slow"), _SLOW_S)
        self._brisk = noise.Smooth(own("brisk"), _BRISK_S)
        self._daily = noise.Smooth(own("daily"), _DAY_S)

    def at(self, at_s: float, faults: Iterable[Fault]) -> Around:
        """Return what acts at `at_s` (seconds since 1970)."""
        phase, open_for_s = self._shifts.at(at_s)
        working = (phase == Phase.WORK).astype(float)
        ramp = np.minimum(open_for_s / self._startup_s, 1.0)
        slow = self._slow.at(at_s)
        load = self._usual_load * (1.0 + 0.12 * slow + 0.08 * self._daily.at(at_s))
        moment = Moment(
            rated_kw=self._rated_kw,
            load=np.minimum(load, 1.0) * working * ramp,
            working=working,
            ready=(phase != Phase.CLOSED).astype(float),
            ramp=ramp,
            slow=slow,
            brisk=self._brisk.at(at_s),
            wear=np.mod(at_s / _SERVICE_S + self._served, 1.0),
            outdoor_c=self._weather.outdoor_c(at_s),
            faults=severities(faults, datetime.fromtimestamp(at_s, UTC), self._index, self._nobody),
        )
        modes = [
            rest if now == Phase.CLOSED else _mode_when_open(now, started)
            for rest, now, started in zip(self._at_rest, phase.tolist(), ramp.tolist(), strict=True)
        ]
        return Around(moment, modes)


def _mode_when_open(phase: int, started: float) -> str:
    if phase == Phase.BREAK:
        return "idle"
    return "startup" if started < 1.0 else "running"
