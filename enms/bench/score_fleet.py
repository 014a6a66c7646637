"""The same tick through all that a live row goes through: sensors, model, episodes, what is remembered."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.fleet import Fleet, Start
from detector.lot import Lot
from detector.models import Model
from detector.rows import Floats
from detector.signals import SignalFacts
from detector.tuning import Tuning
from enms.bench.score_series import LEARN_ROWS, series


@dataclass(slots=True)
class Watched:
    """Machines in a fleet of one lot; each remembers what it was trained on."""

    fleet: Fleet
    lot: Lot
    slots: NDArray[np.intp]
    ts_s: Floats

    def tick(self, at: int, values: Floats) -> float:
        """Push a row of each, values (n, metrics); return the seconds that took."""
        began = time.perf_counter()
        self.fleet.push_lot(self.lot, self.slots, self.ts_s + at, values)
        return time.perf_counter() - began

    @property
    def memory_kib(self) -> float:
        """What windows, sensors, episodes and remembered rows of a machine take in arrays."""
        return self.fleet.memory_bytes / 1024 / len(self.slots)


def watched(models: Sequence[Model], advance: Callable[[], None]) -> Watched:
    """Put models into a fleet with the rows they were learnt from."""
    tuning = Tuning()
    fleet = Fleet(tuning, refit_at_once=False)
    ts_s = np.empty(len(models))
    for machine, model in enumerate(models):
        past = series(machine, LEARN_ROWS + 1)
        ts_s[machine] = past.ts_s[-1]
        past = past.cut(0, LEARN_ROWS)
        window = past.where(past.ts_s > past.ts_s[-1] - model.reach_s)
        facts = SignalFacts.learn(past, {}, tuning.sensor)
        fleet.serve(f"machine-{machine}", Start(model, "1", facts, window, past))
        advance()
    places = [fleet.place(f"machine-{machine}") for machine in range(len(models))]
    known = [place for place in places if place is not None]
    return Watched(fleet, known[0][0], np.array([slot for _, slot in known], np.intp), ts_s)
