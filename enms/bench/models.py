"""Models for all machines of a load, put into the detector's store before it starts."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from rich.progress import Progress as Bars

from detector.rows import Rows
from detector.tuning import Tuning
from enms.bench.spread import gathered, processes_most
from enms.bench.truth import Load

LEARN_ROWS: Final = 400
AT_ONCE: Final = 50
PROCESSES: Final = 2


@dataclass(frozen=True, slots=True)
class Lesson:
    """Some machines of a load, and where their models go."""

    store: Path
    load: Load
    first: int
    end: int
    rows: int


async def put_models(store: Path, load: Load, bars: Bars, rows: int = LEARN_ROWS) -> float:
    """Learn a model for each machine from what it would have sent before; return the seconds that took.

    Several processes share the work; each model is learnt from its own machine's rows.
    """
    task = bars.add_task(f"{load.machines:,} models", total=load.machines)
    began = time.monotonic()
    lessons = [
        Lesson(store, load, first, min(first + AT_ONCE, load.machines), rows)
        for first in range(0, load.machines, AT_ONCE)
    ]
    await gathered(learn, lessons, processes_most(PROCESSES), lambda: bars.advance(task, AT_ONCE))
    bars.update(task, completed=load.machines)
    return time.monotonic() - began


def learn(lesson: Lesson) -> None:
    """Learn and store the models of a lesson's machines, and the rows they learnt from."""
    from detector.models import choose  # noqa: PLC0415  scikit-learn, where it is needed
    from detector.signals import SignalFacts  # noqa: PLC0415  the same
    from detector.store import ModelStore, Stored  # noqa: PLC0415  the same
    from detector.training import card  # noqa: PLC0415  the same

    store, now, tuning = ModelStore(lesson.store), datetime.now(UTC), Tuning()
    for machine in range(lesson.first, lesson.end):
        past = rows_before(lesson.load, machine, lesson.rows)
        facts = SignalFacts.learn(past, {}, tuning.sensor)
        seen = facts.signals(past)
        model = choose(seen, tuning)
        made = card(lesson.load.name(machine), "1", model, seen, now)
        store.save(Stored(model, facts, made, lesson.rows, now.timestamp()), seen)


def rows_before(load: Load, machine: int, count: int) -> Rows:
    """Return `count` rows that a machine would have sent until the load begins."""
    ticks = np.arange(-count, 0)
    machines = np.full(count, machine)
    values = load.hundredths(machines, ticks) / 100
    order = np.argsort(load.names)  # as the detector orders the metrics of a history
    names = tuple(load.names[at] for at in order)
    return Rows(names, load.times_ms(machines, ticks) / 1000, values[:, order])
