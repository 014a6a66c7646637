"""The simulated factory: rows of readings at any time, the same from the same start and seed.

States are integrated on a fixed grid of whole minutes; between two of its points they follow from the
earlier one. So what is read at a time does not depend on how often somebody looked before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from devices.factory.base import Outcome
from devices.factory.faults import Fault, FaultKind
from devices.factory.group import Group
from devices.factory.noise import Floats
from devices.factory.plant import MachineSpec
from devices.factory.weather import Weather

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


@dataclass(slots=True)
class _Running:
    """A group and its state at the grid point `grid_s`, with what drives it from there on."""

    group: Group
    grid_s: int
    state: dict[str, Floats]
    outcome: Outcome
    modes: list[str]


class Factory:
    """A plant that lives from `start` (aware, cut to its minute) on. Time moves forwards only."""

    def __init__(self, plant: Iterable[MachineSpec], seed: int, start: datetime) -> None:
        self.machines = {spec.name: spec for spec in plant}
        self._weather = Weather(seed)
        self._faults: list[Fault] = []
        self._held: dict[Fault, float] = {}
        self._start_s = int(start.timestamp()) // GRID_S * GRID_S
        self._now_s = float(self._start_s)
        ordered = sorted(self.machines.values(), key=lambda spec: spec.kind.name)
        self._running = [
            self._begin(Group(list(specs), seed)) for _, specs in groupby(ordered, lambda spec: spec.kind)
        ]

    def _begin(self, group: Group) -> _Running:
        now, modes = group.moment(self._start_s, self._weather.outdoor_c(self._start_s), ())
        state = group.settled(now)
        return _Running(group, self._start_s, state, group.kind.run(now, state), modes)

    def inject(self, fault: Fault) -> None:
        """Put a fault in, at once or from its start on.

        Raises ValueError when there is no such machine, or it cannot have this fault or metric.
        """
        spec = self.machines.get(fault.machine)
        if spec is None:
            msg = f"there is no machine {fault.machine!a}; there are {_some(self.machines)}"
            raise ValueError(msg)
        if fault.kind not in spec.kind.faults:
            msg = (
                f"{fault.machine} cannot have {fault.kind}; it can have {', '.join(sorted(spec.kind.faults))}"
            )
            raise ValueError(msg)
        if fault.metric is not None and fault.metric not in spec.kind.metrics:
            msg = f"{fault.machine} has no metric {fault.metric!a}; it has {', '.join(spec.kind.metrics)}"
            raise ValueError(msg)
        self._faults.append(fault)

    def clear(self, machine: str, kind: FaultKind | None = None) -> int:
        """Take out a machine's faults of `kind`, or all of them; return how many there were."""
        gone = [f for f in self._faults if f.machine == machine and kind in (None, f.kind)]
        self._faults = [f for f in self._faults if f not in gone]
        for fault in gone:
            self._held.pop(fault, None)
        return len(gone)

    def faults(self, at: datetime) -> tuple[Fault, ...]:
        """Return the faults that act at `at` or will begin later."""
        return tuple(f for f in self._faults if f.end is None or at < f.end)

    def step(self, to: datetime) -> dict[str, Row]:
        """Move on to `to` (aware, not before the last step) and return each machine's row.

        Raises ValueError when `to` lies in the past.
        """
        to_s = to.timestamp()
        if to_s < self._now_s:
            msg = f"the factory is at {datetime.fromtimestamp(self._now_s, UTC)}: it cannot go back to {to}"
            raise ValueError(msg)
        for fault in sorted(self._beginning(to), key=lambda fault: fault.start):
            self._hold(fault)
        self._now_s = to_s
        self._forget_ended(to)
        found = [self._rows(running, to) for running in self._running]
        return {name: row for rows in found for name, row in rows.items()}

    def _beginning(self, to: datetime) -> list[Fault]:
        return [
            fault
            for fault in self._faults
            if fault.kind is FaultKind.STUCK_SENSOR and fault.start <= to and fault not in self._held
        ]

    def _hold(self, fault: Fault) -> None:
        """Remember what the sensor shows at the moment it sticks."""
        at_s = max(fault.start.timestamp(), self._now_s)
        for running in self._running:
            metric = running.group.stuck_metric(fault)
            if metric is not None:
                numbers, _ = self._read(running, at_s)
                column = running.group.metrics.index(metric)
                self._held[fault] = numbers[running.group.place(fault.machine)][column]

    def _forget_ended(self, at: datetime) -> None:
        # A day of grace: the grid lags by a minute, and whoever asks sees what has just ended as ended.
        if any(f.end is not None and (at - f.end).days >= 1 for f in self._faults):
            self._faults = [f for f in self._faults if f.end is None or (at - f.end).days < 1]
            self._held = {fault: value for fault, value in self._held.items() if fault in self._faults}

    def _read(self, running: _Running, at_s: float) -> tuple[list[list[float]], list[str]]:
        """Integrate up to the grid point at or before `at_s` and read the sensors at `at_s`."""
        group = running.group
        while running.grid_s + GRID_S <= at_s:
            running.state = group.moved(running.state, running.outcome, GRID_S)
            running.grid_s += GRID_S
            running.outcome, running.modes = self._run(running, running.grid_s, running.state)
        if at_s == running.grid_s:
            return group.measured(running.outcome, round(at_s * 1000)), running.modes
        state = group.moved(running.state, running.outcome, at_s - running.grid_s)
        outcome, modes = self._run(running, at_s, state)
        return group.measured(outcome, round(at_s * 1000)), modes

    def _run(self, running: _Running, at_s: float, state: Mapping[str, Floats]) -> tuple[Outcome, list[str]]:
        now, modes = running.group.moment(at_s, self._weather.outdoor_c(at_s), self._faults)
        return running.group.kind.run(now, state), modes

    def _rows(self, running: _Running, to: datetime) -> dict[str, Row]:
        group = running.group
        numbers, modes = self._read(running, to.timestamp())
        rows = {
            name: Row(to, dict(zip(group.metrics, values, strict=True)), {"operating_mode": mode})
            for name, values, mode in zip(group.names, numbers, modes, strict=True)
        }
        for fault, value in self._held.items():
            metric = group.stuck_metric(fault)
            if metric is not None and fault.active(to):
                row = rows[fault.machine]
                rows[fault.machine] = Row(to, {**row.numbers, metric: value}, row.states)
        return rows


def _some(names: Iterable[str], most: int = 20) -> str:
    """Return names for an error text, not more than a person reads."""
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
