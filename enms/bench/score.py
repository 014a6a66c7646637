"""`enms bench score`: one row of each of many machines, each with a model of its own, in one go."""

import asyncio
import ctypes
import gc
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress as Bars

from detector.models import Model, Stack, stack_for
from detector.models.forest import ForestModel
from detector.models.reference import ForestReference, RidgeReference
from detector.models.residual import ResidualModel
from detector.rows import Floats, Rows
from detector.tuning import Tuning
from enms.bench.processes import cost
from enms.bench.report import Promised, Report
from enms.bench.score_fleet import watched
from enms.bench.score_series import LEARN_ROWS, METRICS, series
from enms.bench.spread import gathered, processes_most

AT_ONCE: Final = 50
PROCESSES: Final = 2
PAST_ROWS: Final = 64
"""Rows a window is filled with before ticks are counted."""
EQUAL: Final = 1e-9
WHOLE_LOAD: Final = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Machines with a residual model, machines with an isolation forest, and ticks that count."""

    machines: int = WHOLE_LOAD
    forest_machines: int = 1000
    ticks: int = 60


@dataclass(slots=True)
class Served:
    """Machines in one stack, all their windows full; `ahead` (ticks, n, metrics) is what comes next."""

    models: list[Model]
    stack: Stack
    slots: NDArray[np.intp]
    ts_s: Floats
    ahead: Floats

    def tick(self, at: int) -> tuple[float, Floats]:
        """Push a row of each; return the seconds that took, and the scores (n)."""
        began = time.perf_counter()
        pushed = self.stack.push(self.slots, self.ts_s + at, self.ahead[at])
        return time.perf_counter() - began, pushed.scores


async def score(asked: Asked, bars: Bars) -> Report:
    """Measure both kinds of model and report them."""
    report = Report("score")
    for kind, machines in ((ResidualModel.kind, asked.machines), (ForestModel.kind, asked.forest_machines)):
        if machines:
            await _measure(report, kind, machines, asked.ticks, bars)
        else:
            report.remarks.append(f"LEFT OUT: {kind}, of which no machines were asked for")
    return report


async def _measure(report: Report, kind: str, machines: int, count: int, bars: Bars) -> None:
    prefix = "" if kind == ResidualModel.kind else f"{kind}_"
    before = memory_mib()
    served = await asyncio.to_thread(serve, await _learnt(kind, machines, bars), count)
    grown_kib = (memory_mib() - before) * 1024 - served.ahead.nbytes / 1024
    ticks = [served.tick(at) for at in range(count)]
    loop_s, expected = await asyncio.to_thread(_one_by_one, served, count - 1, bars)
    _add(report, prefix, served, [took_s for took_s, _ in ticks], loop_s)
    each_kib = grown_kib / machines
    report.add(f"{prefix}memory_per_machine_kib", each_kib, "KiB", note="resident, the models too")
    differ = float(np.max(np.abs(ticks[-1][1] - expected)))
    note = "the largest difference of any machine's score"
    report.add(f"{prefix}differs_from_sklearn", differ, "", promised=(EQUAL, EQUAL), note=note)
    if not prefix:
        await asyncio.to_thread(_whole_way, report, served, bars)


def learn(given: tuple[str, int, int]) -> list[Model]:
    """Learn the models of the machines `first` to before `end`, of one kind."""
    name, first, end = given
    kind = {one.kind: one for one in (ResidualModel, ForestModel)}[name]
    return [kind.learn(series(machine, LEARN_ROWS), Tuning()) for machine in range(first, end)]


def serve(models: list[Model], ticks: int) -> Served:
    """Put the models into one stack, windows full, and draw what comes next."""
    stack, slots = stack_for(models[0]), []
    ahead = np.empty((ticks, len(models), len(METRICS)))
    ts_s = np.empty(len(models))
    for machine, model in enumerate(models):
        rows = series(machine, LEARN_ROWS + ticks)
        slots.append(stack.add(model, rows.cut(LEARN_ROWS - PAST_ROWS, LEARN_ROWS)))
        ahead[:, machine], ts_s[machine] = rows.values[LEARN_ROWS:], rows.ts_s[LEARN_ROWS]
    return Served(models, stack, np.array(slots, np.intp), ts_s, ahead)


def memory_mib() -> float:
    """Return what this process has, when all that is free is given back."""
    gc.collect()
    with suppress(AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    return cost(os.getpid(), children=False).memory_mib


async def _learnt(kind: str, machines: int, bars: Bars) -> list[Model]:
    task = bars.add_task(f"{machines:,} {kind} models", total=machines)
    parts = [(kind, first, min(first + AT_ONCE, machines)) for first in range(0, machines, AT_ONCE)]
    made = await gathered(learn, parts, processes_most(PROCESSES), lambda: bars.advance(task, AT_ONCE))
    bars.update(task, completed=machines)
    return [model for part in made for model in part]


def _one_by_one(served: Served, tick: int, bars: Bars) -> tuple[float, Floats]:
    """Ask scikit-learn machine by machine for the scores of a tick; return its seconds and the scores (n)."""
    task = bars.add_task("scikit-learn, one by one", total=len(served.models))
    took_s, scores = 0.0, np.empty(len(served.models))
    for machine, model in enumerate(served.models):
        seen = series(machine, LEARN_ROWS + len(served.ahead)).cut(0, LEARN_ROWS + tick + 1)
        took, scores[machine] = _asked_of_sklearn(model, seen)
        took_s += took
        bars.advance(task)
    return took_s, scores


def _asked_of_sklearn(model: Model, seen: Rows) -> tuple[float, float]:
    window = seen.where(seen.ts_s > seen.ts_s[-1] - model.span_s + 0.0005)
    if isinstance(model, ResidualModel):
        ridges = RidgeReference(model)
        began = time.perf_counter()
        found = ridges.score(window)
        return time.perf_counter() - began, found
    if not isinstance(model, ForestModel):
        raise TypeError(f"there is nothing of scikit-learn's to compare a {model.kind} model with")
    forest = ForestReference(model, seen.cut(0, LEARN_ROWS))
    features = forest.features(window)
    began = time.perf_counter()
    said = forest.samples_score(features)
    return time.perf_counter() - began, forest.score(features, said)


def _whole_way(report: Report, served: Served, bars: Bars) -> None:
    """Measure the same ticks through sensors, episodes and memory too."""
    machines = len(served.models)
    task = bars.add_task("the whole way of a row", total=machines)
    fleet = watched(served.models, lambda: bars.advance(task))
    took_ms = np.array([fleet.tick(at, values) for at, values in enumerate(served.ahead)]) * 1000
    note = "with sensor checks, episodes and what refits remember"
    report.add(
        f"whole_tick_{machines}_ms", float(np.median(took_ms)), "ms", promised=_promised(machines), note=note
    )
    report.add(f"whole_tick_{machines}_p99_ms", float(np.quantile(took_ms, 0.99)), "ms")
    note = f"in arrays, {LEARN_ROWS} remembered rows with it"
    report.add("whole_arrays_per_machine_kib", fleet.memory_kib, "KiB", note=note)


def _promised(machines: int) -> Promised | None:
    return (500.0, 50.0) if machines == WHOLE_LOAD else None


def _add(report: Report, prefix: str, served: Served, ticks_s: Sequence[float], loop_s: float) -> None:
    machines = len(served.models)
    took_ms = np.array(ticks_s) * 1000
    promised = None if prefix else _promised(machines)
    note = f"median of {len(took_ms)} ticks; {machines:,} machines of {len(METRICS)} metrics"
    report.add(f"{prefix}tick_{machines}_ms", float(np.median(took_ms)), "ms", promised=promised, note=note)
    report.add(f"{prefix}tick_{machines}_p99_ms", float(np.quantile(took_ms, 0.99)), "ms")
    each_us = float(np.median(took_ms)) * 1000 / machines
    report.add(f"{prefix}us_per_machine", each_us, "us")
    vs = loop_s * 1000 / float(np.median(took_ms))
    note = f"{loop_s:.3g} s for the same tick, machine by machine"
    report.add(f"{prefix}vs_sklearn_loop", vs, "times as fast", note=note)
    own_kib = served.stack.memory_bytes / 1024 / machines
    report.add(f"{prefix}arrays_per_machine_kib", own_kib, "KiB", note="windows and figures in arrays")
