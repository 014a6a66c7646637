"""All machines with isolation forests of as many metrics, in arrays: each tick is one pass over them.

Slots are kept in blocks, so that a machine more neither copies the others nor leaves room for thousands.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from detector.features import window_edge_s
from detector.models.base import Explanation, Model
from detector.models.forest import ForestModel, last_window
from detector.models.forest_features import WINDOW_ROWS_MOST, Sums, counted, features_of
from detector.models.forest_score import Scoring
from detector.models.forest_trees import Trees, mean_lengths
from detector.models.stack import Pushed, Slots, Stack
from detector.rows import Floats, Rows

BLOCK: Final = 128
"""Machines in a block."""
_NO_TREES: Final = Trees(np.zeros((0, 1), np.uint8), np.zeros((0, 1), np.float32), np.zeros((0, 2), np.int16))


class ForestStack(Stack):
    """A block holds forests of one shape; one learnt with another number of trees gets another block."""

    def __init__(self, metrics: int) -> None:
        self._metrics = metrics
        self._blocks: list[_Block] = []

    def add(self, model: Model, past: Rows) -> int:
        """Fill the window of a slot with what `past` has of it."""
        known = _known(model)
        number = next((at for at, one in enumerate(self._blocks) if one.takes(known)), len(self._blocks))
        if number == len(self._blocks):
            self._blocks.append(_Block(known, self._metrics))
        return number * BLOCK + self._blocks[number].add(known, past.of(model.metrics))

    def replace(self, slot: int, model: Model) -> None:
        """Count the rows of the window anew, in the steps of the new model, which has as many trees."""
        block, at = self._at(slot)
        block.put(at, _known(model), block.rows(at))

    def remove(self, slot: int) -> None:
        """Forget model and window."""
        block, at = self._at(slot)
        block.remove(at)

    def push(self, slots: Slots, ts_s: Floats, values: Floats) -> Pushed:
        """Take all rows block by block; a forest never holds back."""
        scores = np.empty(len(slots))
        order = np.argsort(slots, kind="stable")
        numbers, begins = np.unique(slots[order] // BLOCK, return_index=True)
        for number, inside in zip(numbers, np.split(order, begins[1:]), strict=True):
            at = slots[inside] - number * BLOCK
            scores[inside] = self._blocks[int(number)].push(at, ts_s[inside], values[inside])
        return Pushed(scores, np.zeros(len(slots), bool))

    def explain(self, slot: int) -> Explanation:
        """Have the model explain the window."""
        block, at = self._at(slot)
        return block.model(at).explain(block.rows(at))

    def state(self, slot: int) -> str:
        """Return no state: a forest knows none."""
        del slot
        return ""

    @property
    def memory_bytes(self) -> int:
        """How much trees, windows and figures take. The trees are kept here alone, not in the models too."""
        return sum(block.memory_bytes for block in self._blocks)

    def _at(self, slot: int) -> "tuple[_Block, int]":
        return self._blocks[slot // BLOCK], slot % BLOCK


class _Block:
    """Trees, figures and windows of up to `BLOCK` machines; a window is a ring of its newest rows."""

    def __init__(self, example: ForestModel, metrics: int) -> None:
        self._models: list[ForestModel | None] = [None] * BLOCK
        self._free = list(range(BLOCK - 1, -1, -1))
        trees = example.trees
        self._trees = Trees(
            np.zeros((BLOCK, *trees.feature.shape), trees.feature.dtype),
            np.zeros((BLOCK, *trees.threshold.shape), np.float32),
            np.zeros((BLOCK, *trees.leaf.shape), np.int16),
        )
        self._average, self._offset, self._room = (np.ones((BLOCK, 1)) for _ in range(3))
        self._low, self._high, self._margin = (np.ones((BLOCK, metrics)) for _ in range(3))
        self._center, self._scale = (np.ones((BLOCK, metrics)) for _ in range(2))
        self._span_s, self._rows_least = np.ones(BLOCK), np.ones((BLOCK, 1), np.int64)
        self._ts_s = np.zeros((BLOCK, WINDOW_ROWS_MOST))
        self._values = np.zeros((BLOCK, WINDOW_ROWS_MOST, metrics))
        self._first, self._next = (np.zeros(BLOCK, np.int64) for _ in range(2))
        self._steps, self._squares, self._count = (np.zeros((BLOCK, metrics), np.int64) for _ in range(3))

    @property
    def memory_bytes(self) -> int:
        own = (array.nbytes for array in vars(self).values() if isinstance(array, np.ndarray))
        trees = self._trees
        return sum(own) + trees.feature.nbytes + trees.threshold.nbytes + trees.leaf.nbytes

    def takes(self, model: ForestModel) -> bool:
        return bool(self._free) and self._fits(model)

    def _fits(self, model: ForestModel) -> bool:
        return self._trees.leaf.shape[1:] == model.leaf.shape

    def add(self, model: ForestModel, past: Rows) -> int:
        at = self._free.pop()
        self.put(at, model, past)
        return at

    def put(self, at: int, model: ForestModel, past: Rows) -> None:
        """Set the model of a place, and its window to the last rows of `past`."""
        if not self._fits(model):
            msg = f"a forest of {model.leaf.shape} leaves cannot follow one of {self._trees.leaf.shape[1:]}"
            raise ValueError(msg)
        scoring = model.scoring
        self._models[at] = replace(
            model, feature=_NO_TREES.feature, threshold=_NO_TREES.threshold, leaf=_NO_TREES.leaf
        )
        self._trees.feature[at], self._trees.threshold[at] = model.feature, model.threshold
        self._trees.leaf[at] = model.leaf
        self._average[at], self._offset[at], self._room[at] = scoring.average, scoring.offset, scoring.room
        self._low[at], self._high[at], self._margin[at] = model.low, model.high, model.margin
        self._center[at], self._scale[at] = model.center, model.scale
        self._span_s[at], self._rows_least[at] = model.span_s, model.rows_least
        window = last_window(past, model.span_s)
        count = len(window)
        self._ts_s[at, :count], self._values[at, :count] = window.ts_s, window.values
        self._first[at], self._next[at] = 0, count
        readings = counted(window.values, model.center, model.scale)
        self._steps[at] = readings.steps.sum(axis=0)
        self._squares[at] = (readings.steps**2).sum(axis=0)
        self._count[at] = readings.there.sum(axis=0)

    def remove(self, at: int) -> None:
        self._models[at] = None
        self._first[at] = self._next[at] = 0
        self._free.append(at)

    def model(self, at: int) -> ForestModel:
        """Return the model of a place, its trees those of the block."""
        model = self._models[at]
        if model is None:
            raise IndexError("this slot was given up")
        trees = self._trees
        return replace(model, feature=trees.feature[at], threshold=trees.threshold[at], leaf=trees.leaf[at])

    def rows(self, at: int) -> Rows:
        """Return the rows in the window of a place, oldest first."""
        order = np.arange(self._first[at], self._next[at]) % WINDOW_ROWS_MOST
        return Rows(self.model(at).metrics, self._ts_s[at, order], self._values[at, order])

    def push(self, at: Slots, ts_s: Floats, values: Floats) -> Floats:
        """Take one row of each place (n) and score it."""
        self._drop(at, ts_s)
        row = self._next[at] % WINDOW_ROWS_MOST
        self._ts_s[at, row], self._values[at, row] = ts_s, values
        self._next[at] += 1
        readings = counted(values, self._center[at], self._scale[at])
        self._steps[at] += readings.steps
        self._squares[at] += readings.steps**2
        self._count[at] += readings.there
        sums = Sums(self._steps[at], self._squares[at], self._count[at])
        features = features_of(readings, sums, self._rows_least[at])
        scoring = Scoring(
            self._average[at, 0],
            self._offset[at, 0],
            self._room[at, 0],
            self._low[at],
            self._high[at],
            self._margin[at],
        )
        return scoring.score(features, mean_lengths(self._trees, features, at))

    def _drop(self, at: Slots, ts_s: Floats) -> None:
        """Take out of the sums what leaves the window when a row of `ts_s` comes, the oldest first."""
        edges_s: Floats = window_edge_s(ts_s - self._span_s[at], 0.0)
        while len(at):
            first = self._first[at]
            held = self._next[at] - first
            row = first % WINDOW_ROWS_MOST
            leaves = (held > 0) & ((self._ts_s[at, row] <= edges_s) | (held == WINDOW_ROWS_MOST))
            at, edges_s, row = at[leaves], edges_s[leaves], row[leaves]
            readings = counted(self._values[at, row], self._center[at], self._scale[at])
            self._steps[at] -= readings.steps
            self._squares[at] -= readings.steps**2
            self._count[at] -= readings.there
            self._first[at] += 1


def _known(model: Model) -> ForestModel:
    if not isinstance(model, ForestModel):
        raise TypeError(f"a {model.kind} model is no isolation forest")
    return model
