"""What every kind of machine is: metrics, thermal lags, the faults it can have, and its physics."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np

from broker.messages import MetricInfo
from broker.units import unit_of
from devices.factory.faults import FaultKind
from devices.factory.noise import Floats

POWER_MARGIN: Final = 1.2
"""No machine ever draws more than this times its rated power: its fuse would blow."""
ROOM_C: Final = 20.0
MAINS_V: Final = 400.0
_STANDSTILL: Final = 0.01


@dataclass(frozen=True, slots=True)
class Metric:
    """The span of a metric, and its sensor's noise: `noise_ratio` of the value plus `noise` in its unit.

    Where `a_kw` is set, `high` and `noise` are for each kW of rated power.
    """

    low: float
    high: float
    noise: float
    noise_ratio: float = 0.0
    a_kw: bool = False

    def info(self, name: str, rated_kw: float) -> MetricInfo:
        """Return what a machine of this rated power announces of the metric."""
        return MetricInfo(unit=unit_of(name), min=self.low, max=self.high * (rated_kw if self.a_kw else 1.0))


POWER: Final = Metric(0.0, POWER_MARGIN, 0.0005, 0.006, a_kw=True)
LOAD: Final = Metric(0.0, 110.0, 0.3)
VIBRATION: Final = Metric(0.0, 25.0, 0.02, 0.03)
OUTDOOR: Final = Metric(-40.0, 50.0, 0.05)
# Full current at the worst power factor met here, and a lost phase on top.
CURRENT: Final = Metric(0.0, 5.0, 0.003, 0.008, a_kw=True)
PIECES: Final = Metric(0.0, 200.0, 0.0)
"""Pieces made in the last minute, not a total: so it can be set against power as it is."""


@dataclass(frozen=True, slots=True)
class Moment:
    """All that acts on the machines of one kind at one time; arrays have one entry a machine.

    `load` is the share of full output asked for, 0 unless it works; `working` is 1 in shifts, `ready` also
    in breaks; `ramp` rises from 0 to 1 while starting; `slow`, `brisk` wander in (-1, 1) over 40 and
    3 minutes; `wear` is 0 after a service and 1 just before the next; `closed` is 1 outside of shifts.
    """

    rated_kw: Floats
    load: Floats
    working: Floats
    ready: Floats
    ramp: Floats
    slow: Floats
    brisk: Floats
    wear: Floats
    outdoor_c: float
    faults: dict[FaultKind, Floats]

    def fault(self, kind: FaultKind) -> Floats | float:
        """Return the severity 0..1 of a fault for each machine, or 0 where no machine has it."""
        return self.faults.get(kind, 0.0)

    def standby_kw(self) -> Floats | float:
        """Return what auxiliaries left on draw while the machine does not work."""
        waste = self.faults.get(FaultKind.STANDBY_WASTE)
        return 0.0 if waste is None else 0.2 * waste * self.rated_kw * (1.0 - self.working)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The true values now, and the values the lagging states tend to as things are."""

    values: Mapping[str, Floats]
    targets: Mapping[str, Floats]


class Kind(ABC):
    """A kind of machine. `run` is pure: all memory is in the states named by `lags_s`."""

    name: ClassVar[str]
    title: ClassVar[str]
    area: ClassVar[str]
    rated_kw: ClassVar[float]
    base_load: ClassVar[float]
    startup_s: ClassVar[float]
    always_on: ClassVar[bool] = False
    metrics: ClassVar[Mapping[str, Metric]]
    lags_s: ClassVar[Mapping[str, float]]
    faults: ClassVar[frozenset[FaultKind]]

    @abstractmethod
    def run(self, now: Moment, state: Mapping[str, Floats]) -> Outcome:
        """Return all metrics' values and the target of every state of `lags_s`."""


def current_a(power_kw: Floats, rated_kw: Floats, phase_loss: Floats | float) -> Floats:
    """Return the largest phase current of a three-phase motor; its power factor falls with its load."""
    factor = 0.45 + 0.43 * np.minimum(power_kw / rated_kw, 1.0)
    # Two phases that carry what three did carry the square root of three times the current.
    return power_kw * 1000.0 / (math.sqrt(3) * MAINS_V * factor) * (1.0 + (math.sqrt(3) - 1.0) * phase_loss)


def vibration_mm_s(now: Moment, speed_ratio: Floats, base: float) -> Floats:
    """Return vibration velocity: imbalance with speed, more when worn, damaged or fed unevenly."""
    bearing = now.fault(FaultKind.BEARING_WEAR)
    uneven = now.fault(FaultKind.PHASE_LOSS)
    turning = base * (0.35 + 0.65 * speed_ratio**2) * (1.0 + 0.1 * now.slow + 0.12 * now.wear)
    return np.where(speed_ratio > _STANDSTILL, turning + speed_ratio * (5.5 * bearing + 2.2 * uneven), 0.05)


def friction(now: Moment) -> Floats:
    """Return the factor by which friction raises a drive's power: wear a little, a bad bearing more."""
    return 1.0 + 0.012 * now.wear + 0.06 * now.fault(FaultKind.BEARING_WEAR)


def limited(power_kw: Floats, rated_kw: Floats) -> Floats:
    """Return power held by the machine's own limiter at 1.1 times its rating."""
    return np.minimum(power_kw, 1.1 * rated_kw)


def table(**metrics: Metric) -> Mapping[str, Metric]:
    """Return the metrics as a mapping nobody can change."""
    return MappingProxyType(metrics)
