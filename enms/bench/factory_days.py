"""Days of the simulated factory as tables, made in process and much faster than the clock."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from detector.rows import Floats, Rows
from devices.factory import Factory, Fault, MachineSpec

MODE = "operating_mode"


@dataclass(frozen=True, slots=True)
class Days:
    """One machine's rows, and the state it said it was in at each (n)."""

    spec: MachineSpec
    rows: Rows
    modes: tuple[str, ...]

    def between(self, start: datetime, end: datetime) -> "Days":
        """Return what was measured from `start` to before `end`."""
        first, last = np.searchsorted(self.rows.ts_s, [start.timestamp(), end.timestamp()])
        return Days(self.spec, self.rows.cut(int(first), int(last)), self.modes[first:last])


def live_through(
    specs: Iterable[MachineSpec],
    seed: int,
    start: datetime,
    end: datetime,
    step: timedelta,
    faults: Iterable[Fault] = (),
    told: Callable[[], None] = lambda: None,
) -> dict[str, Days]:
    """Let a plant live from `start` to before `end` and return each machine's days; `told` is called a step.

    Two plants of one seed differ by what the faults do and by nothing else: even the noise is the same.
    """
    factory = Factory(specs, seed, start)
    for fault in faults:
        factory.inject(fault)
    count = int((end - start) / step)
    metrics = {name: tuple(spec.kind.metrics) for name, spec in factory.machines.items()}
    values = {name: np.empty((count, len(own))) for name, own in metrics.items()}
    modes: dict[str, list[str]] = {name: [] for name in metrics}
    ts_s: Floats = np.array([(start + number * step).timestamp() for number in range(count)])
    for number in range(count):
        for name, row in factory.step(start + number * step).items():
            values[name][number] = [row.numbers[metric] for metric in metrics[name]]
            modes[name].append(row.states[MODE])
        told()
    return {
        name: Days(spec, Rows(metrics[name], ts_s, values[name]), tuple(modes[name]))
        for name, spec in factory.machines.items()
    }


def moved_metrics(fault: Fault, faulty: Days, clean: Days, scale: Floats) -> tuple[str, ...]:
    """Return the metrics the fault moves, most first: those with at least a third of the largest movement.

    A movement is the mean absolute difference between the plant with the fault and its twin without, over
    the fault's duration, in units of `scale` (metrics).
    """
    end = fault.end or datetime.max.replace(tzinfo=fault.start.tzinfo)
    with_it, without = faulty.between(fault.start, end).rows, clean.between(fault.start, end).rows
    moved = np.abs(with_it.values - without.values).mean(axis=0) / scale
    order = np.argsort(-moved, kind="stable")
    return tuple(with_it.metrics[at] for at in order if moved[at] > 0.0 and moved[at] >= moved[order[0]] / 3)
