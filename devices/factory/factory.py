"""The simulated factory: rows of readings at any time, the same from the same start and seed.

States are integrated on a fixed grid of whole minutes; between two of its points they follow from the
earlier one. So what is read at a time does not depend on how often somebody looked before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

import numpy as np

from devices.factory.faults import Fault, FaultBook, FaultKind
from devices.factory.group import Group
from devices.factory.plant import MachineSpec
from devices.factory.sensors import Sensors
from devices.factory.surroundings import Surroundings

GRID_S: Final = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One machine's readings at `ts`: numbers by metric, and text states."""

    ts: datetime
    numbers: Mapping[str, float]
    states: Mapping[str, str]

    def body(self) -> dict[str, object]:
        """Return the row as a telemetry object."""
        return {"ts": self.ts, **self.numbers, **self.states}


class Factory:
    """A plant that lives from `start` (aware, cut to its minute) on. Time moves forwards only."""

    def __init__(self, plant: Iterable[MachineSpec], seed: int, start: datetime) -> None:
        self.machines = {spec.name: spec for spec in plant}
        by_kind = sorted(self.machines.values(), key=lambda spec: spec.kind.name)
        kinds = [list(specs) for _, specs in groupby(by_kind, lambda spec: spec.kind.name)]
        self._surroundings = Surroundings(by_kind, seed)
        self._sensors = Sensors(kinds, seed)
        self._faults = FaultBook()
        self._held: dict[Fault, float] = {}
        self._grid_s = int(start.timestamp()) // GRID_S * GRID_S
        self._now_s = float(self._grid_s)
        around = self._surroundings.at(self._grid_s, ())
        self._groups: list[Group] = []
        first = 0
        for specs in kinds:
            machines = slice(first, first + len(specs))
            self._groups.append(Group(specs, machines, around.of(machines)))
            first = machines.stop

    def inject(self, fault: Fault) -> None:
        """Put a fault in, at once or from its start on.

        Raises ValueError when there is no such machine, or it cannot have this fault or metric.
        """
        spec = self._spec(fault.machine)
        if fault.kind not in spec.kind.faults:
            msg = f"{spec.name} cannot have {fault.kind}; it can have {', '.join(sorted(spec.kind.faults))}"
            raise ValueError(msg)
        if fault.metric is not None and fault.metric not in spec.kind.metrics:
            msg = f"{spec.name} has no metric {fault.metric!a}; it has {', '.join(spec.kind.metrics)}"
            raise ValueError(msg)
        self._faults.add(fault)

    def clear(self, machine: str, kind: FaultKind | None = None) -> int:
        """Take out a machine's faults of `kind`, or all of them; return how many there were.

        Raises ValueError when there is no such machine.
        """
        return self._faults.remove(self._spec(machine).name, kind)

    def faults(self, at: datetime) -> tuple[Fault, ...]:
        """Return the faults that act at `at` or will begin later."""
        return self._faults.due(at)

    def step(self, to: datetime) -> dict[str, Row]:
        """Move on to `to` (aware, not before the last step) and return each machine's row.

        Raises ValueError when `to` lies in the past.
        """
        to_s = to.timestamp()
        if to_s < self._now_s:
            msg = f"the factory is at {datetime.fromtimestamp(self._now_s, UTC)}: it cannot go back to {to}"
            raise ValueError(msg)
        self._faults.forget_before(to)
        self._held = {fault: value for fault, value in self._held.items() if fault in self._faults.all}
        for fault in self._faults.sticking(to):
            if fault not in self._held:
                at = max(fault.start, datetime.fromtimestamp(self._now_s, UTC))
                self._held[fault] = self._rows(at)[fault.machine].numbers[_stuck_metric(fault)]
        self._now_s = to_s
        rows = self._rows(to)
        for fault, value in self._held.items():
            if fault.active(to):
                row = rows[fault.machine]
                held = {**row.numbers, _stuck_metric(fault): value}
                rows[fault.machine] = Row(row.ts, held, row.states)
        return rows

    def _rows(self, at: datetime) -> dict[str, Row]:
        """Integrate up to the grid point at or before `at` and return what sensors that work show at it."""
        at_s = at.timestamp()
        around = None
        while self._grid_s + GRID_S <= at_s:
            self._grid_s += GRID_S
            around = self._surroundings.at(self._grid_s, self._faults.all)
            for group in self._groups:
                group.advance(GRID_S, around.of(group.machines))
        since_s = at_s - self._grid_s
        if around is not None and since_s == 0.0:
            outcomes = [group.outcome for group in self._groups]
        else:
            around = self._surroundings.at(at_s, self._faults.all)
            outcomes = [group.look(since_s, around.of(group.machines)) for group in self._groups]
        columns = [
            column
            for group, outcome in zip(self._groups, outcomes, strict=True)
            for column in group.table(outcome)
        ]
        shown = self._sensors.show(np.concatenate(columns), round(at_s * 1000))
        rows: dict[str, Row] = {}
        first = 0
        for group in self._groups:
            count = len(group.specs)
            last = first + count * len(group.metrics)
            for place, spec in enumerate(group.specs):
                numbers = dict(zip(group.metrics, shown[first + place : last : count], strict=True))
                mode = around.modes[group.machines.start + place]
                rows[spec.name] = Row(at, numbers, {"operating_mode": mode})
            first = last
        return rows

    def _spec(self, machine: str) -> MachineSpec:
        spec = self.machines.get(machine)
        if spec is None:
            msg = f"there is no machine {machine!a}; there are {_some(self.machines)}"
            raise ValueError(msg)
        return spec


def _stuck_metric(fault: Fault) -> str:
    """Return which sensor a stuck-sensor fault holds: the temperature, which every kind has, if not named."""
    return fault.metric or "temperature_c"


def _some(names: Iterable[str], most: int = 20) -> str:
    """Return names for an error text, not more than a person reads."""
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
