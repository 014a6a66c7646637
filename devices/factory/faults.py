"""Faults: what is wrong with which machine, how badly, and from when to when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from devices.factory.noise import Floats


class FaultKind(StrEnum):
    """What can be wrong with a machine."""

    LEAK = "leak"
    BEARING_WEAR = "bearing_wear"
    STUCK_SENSOR = "stuck_sensor"
    STANDBY_WASTE = "standby_waste"
    FOULING = "fouling"
    PHASE_LOSS = "phase_loss"


EVERY_MACHINE: Final = frozenset({FaultKind.STUCK_SENSOR, FaultKind.STANDBY_WASTE})

ONSET: Final = {
    FaultKind.LEAK: timedelta(minutes=1),
    FaultKind.BEARING_WEAR: timedelta(minutes=30),
    FaultKind.FOULING: timedelta(hours=1),
}
"""How long a fault grows to its full severity, but never more than a third of its duration."""

_GRACE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of `machine` from `start` on, for `duration` or until it is cleared.

    `severity` is above 0 and at most 1. `metric` says which sensor is stuck, for that fault alone.
    Raises ValueError when a figure is outside what is allowed.
    """

    machine: str
    kind: FaultKind
    severity: float
    start: datetime
    duration: timedelta | None = None
    metric: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.severity <= 1.0:
            msg = f"severity {self.severity:g} is not allowed: it must be above 0 and at most 1"
            raise ValueError(msg)
        if self.duration is not None and self.duration <= timedelta():
            msg = "a fault's duration must be above 0 seconds; leave it out for a fault that stays"
            raise ValueError(msg)
        if self.start.tzinfo is None:
            msg = "a fault's start needs a time zone"
            raise ValueError(msg)

    @property
    def end(self) -> datetime | None:
        """When it ends by itself."""
        return None if self.duration is None else self.start + self.duration

    def active(self, at: datetime) -> bool:
        """Whether the fault acts at `at`; the end itself is outside."""
        return self.start <= at and (self.end is None or at < self.end)

    def severity_at(self, at: datetime) -> float:
        """Return how badly it acts at `at`: growing after its start, 0 when it is not active."""
        if not self.active(at):
            return 0.0
        onset = ONSET.get(self.kind, timedelta())
        if self.duration is not None:
            onset = min(onset, self.duration / 3)
        grown = 1.0 if not onset else min(1.0, (at - self.start) / onset)
        return self.severity * grown


def severities(
    faults: Iterable[Fault], at: datetime, index: dict[str, int], nobody: Floats
) -> dict[FaultKind, Floats]:
    """Return for each kind of fault active at `at` the severity for each machine of `index`.

    `nobody` is an array of zeros, one a machine. Of several faults of one kind the worst counts.
    """
    found: dict[FaultKind, Floats] = {}
    for fault in faults:
        severity = fault.severity_at(at)
        place = index.get(fault.machine)
        if severity <= 0.0 or place is None or fault.kind is FaultKind.STUCK_SENSOR:
            continue
        column = found.setdefault(fault.kind, nobody.copy())
        column[place] = max(column[place], severity)
    return found


class FaultBook:
    """The faults put into a plant."""

    def __init__(self) -> None:
        self.all: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Note a fault; the same one twice is one."""
        if fault not in self.all:
            self.all.append(fault)

    def remove(self, machine: str, kind: FaultKind | None) -> int:
        """Take out a machine's faults of `kind`, or all; return how many there were."""
        kept = [f for f in self.all if f.machine != machine or kind not in (None, f.kind)]
        count = len(self.all) - len(kept)
        self.all = kept
        return count

    def due(self, at: datetime) -> tuple[Fault, ...]:
        """Return the faults that act at `at` or later."""
        return tuple(fault for fault in self.all if fault.end is None or at < fault.end)

    def sticking(self, at: datetime) -> list[Fault]:
        """Return the stuck sensors that have begun by `at`, in the order in which they began."""
        begun = [f for f in self.all if f.kind is FaultKind.STUCK_SENSOR and f.start <= at]
        return sorted(begun, key=lambda fault: fault.start)

    def forget_before(self, at: datetime) -> None:
        """Drop what ended more than a day before `at`, which nothing computed from now on can need."""
        if any(fault.end is not None and at - fault.end > _GRACE for fault in self.all):
            self.all = [f for f in self.all if f.end is None or at - f.end <= _GRACE]
