"""All machines with residual models of as many metrics, in arrays: each tick is one pass over them."""

from typing import Final

import numpy as np

from detector.features import window_edge_s
from detector.models.base import Explanation, Model
from detector.models.regime_slots import RegimeSlots
from detector.models.regimes import RegimesModel
from detector.models.residual import ResidualModel
from detector.models.residual_math import LearntTable, columns_of, score_of, statistics_of
from detector.models.ring import Ring, Some
from detector.models.stack import Pushed, Slots, Stack
from detector.rows import Floats, Rows

AT_ONCE: Final = 512
"""So many machines' windows stay in the processor's cache while they are summed."""


class ResidualStack(Stack):
    """Of a machine with regimes, the figures of the regime it is in; they change over with it."""

    def __init__(self, metrics: int) -> None:
        self._models: list[ResidualModel | RegimesModel | None] = []
        self._free: list[int] = []
        self._ring = Ring(metrics, 2 * metrics)
        self._regimes = RegimeSlots()
        self._table = LearntTable(metrics)

    def add(self, model: Model, past: Rows) -> int:
        """Fill the window of a slot with what `past` has of it."""
        known = _known(model)
        if not self._free:
            self._resize()
        slot = self._free.pop()
        past = past.of(model.metrics)
        self._models[slot] = known
        self._regimes.begin(slot, known, past)
        newest_s = float(past.ts_s[-1]) if len(past) else 0.0
        self._judge(slot, past.where(past.ts_s > window_edge_s(newest_s, model.span_s)))
        return slot

    def replace(self, slot: int, model: Model) -> None:
        """Make the columns of the window anew, with the figures of the new model."""
        window = self._window(slot)
        self._models[slot] = known = _known(model)
        self._regimes.replace(slot, known, window)
        self._judge(slot, window)

    def remove(self, slot: int) -> None:
        """Forget model and window."""
        self._models[slot] = None
        self._regimes.clear(slot)
        self._free.append(slot)

    def push(self, slots: Slots, ts_s: Floats, values: Floats) -> Pushed:
        """Take all rows in a few passes over arrays; only machines that change over are looked at singly."""
        for slot in self._regimes.note(slots, ts_s, values):
            self._judge(slot, self._window(slot))
        held = self._regimes.held(slots, ts_s)
        scores = np.empty(len(slots))
        for first in range(0, len(slots), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            scores[part] = self._push(slots[part], ts_s[part], values[part])
        scores[held] = np.nan
        return Pushed(scores, held)

    def explain(self, slot: int) -> Explanation:
        """Have the model of the present regime explain the window."""
        return self._regimes.part(slot, self._of(slot)).explain(self._window(slot))

    def state(self, slot: int) -> str:
        """Return what the machine is doing, by the power of its regime; empty for one without regimes."""
        return self._regimes.state(slot, self._of(slot))

    @property
    def memory_bytes(self) -> int:
        """How much windows and figures take."""
        return self._ring.memory_bytes + self._table.memory_bytes + self._regimes.memory_bytes

    def _push(self, slots: Slots, ts_s: Floats, values: Floats) -> Floats:
        some = _stretch(slots)
        learnt = self._table.at(some)
        self._ring.put(slots, ts_s, values, columns_of(values, learnt), learnt.span_s[:, 0])
        windows = self._ring.windows(some, learnt.rows_least)
        found = statistics_of(ts_s, windows.mean, windows.spread, windows.count, learnt)
        return score_of(found, learnt.threshold[:, 0])

    def _judge(self, slot: int, window: Rows) -> None:
        """Judge a slot by the figures of its present regime; the rows in its window as well."""
        learnt = self._regimes.part(slot, self._of(slot)).learnt
        self._table.set(slot, learnt)
        self._ring.fill(slot, window.ts_s, window.values, columns_of(window.values, learnt))

    def _window(self, slot: int) -> Rows:
        return Rows(self._of(slot).metrics, *self._ring.rows(slot))

    def _resize(self) -> None:
        held = len(self._models)
        slots = max(8, 2 * held)
        for one in (self._ring, self._regimes, self._table):
            one.resize(slots)
        self._models += [None] * (slots - held)
        self._free += range(slots - 1, held - 1, -1)

    def _of(self, slot: int) -> ResidualModel | RegimesModel:
        model = self._models[slot]
        if model is None:
            raise IndexError(f"slot {slot} was given up")
        return model


def _known(model: Model) -> ResidualModel | RegimesModel:
    if not isinstance(model, ResidualModel | RegimesModel):
        raise TypeError(f"a {model.kind} model is no residual model")
    return model


def _stretch(slots: Slots) -> Some:
    """Return slots that follow each other as a slice."""
    first, last = int(slots[0]), int(slots[-1])
    if last - first == len(slots) - 1 and bool((np.diff(slots) == 1).all()):
        return slice(first, last + 1)
    return slots
