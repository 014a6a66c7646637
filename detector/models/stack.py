"""Many machines' followers under one kind of model: a row of each is scored in one call."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.models.base import Explanation, Follower, Model
from detector.rows import Floats, Rows

Slots = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What one row of each of n machines led to: `scores` (n), NaN where nothing can be said; `held` (n)."""

    scores: Floats
    held: NDArray[np.bool_]


class Stack(ABC):
    """Followers by slot, of models with the same number of metrics. A slot that was given up is used again.

    Scores are those that `model.follow()` gives for the same rows, to 1e-9.
    """

    @abstractmethod
    def add(self, model: Model, past: Rows) -> int:
        """Make a follower that has seen `past`, and return its slot."""

    @abstractmethod
    def replace(self, slot: int, model: Model) -> None:
        """Go on with a refitted model of the same metrics; what was seen stays seen."""

    @abstractmethod
    def remove(self, slot: int) -> None:
        """Give up a slot."""

    @abstractmethod
    def push(self, slots: Slots, ts_s: Floats, values: Floats) -> Pushed:
        """Take one row of each of n machines: distinct slots (n), times (n), values (n, metrics)."""

    @abstractmethod
    def explain(self, slot: int) -> Explanation:
        """Explain the last row of a slot."""

    @abstractmethod
    def state(self, slot: int) -> str:
        """Return the operating state at the last row of a slot, empty where the model knows none."""

    @property
    @abstractmethod
    def memory_bytes(self) -> int:
        """How much the followers keep, the models not counted."""


class OneByOne(Stack):
    """Any kind of model: as many followers, asked one after the other."""

    def __init__(self) -> None:
        self._followers: list[Follower | None] = []
        self._free: list[int] = []

    def add(self, model: Model, past: Rows) -> int:
        """Make a follower and have it take the rows of `past`."""
        follower = model.follow()
        for ts_s, values in zip(past.ts_s, past.of(model.metrics).values, strict=True):
            follower.take(float(ts_s), values)
        if self._free:
            slot = self._free.pop()
            self._followers[slot] = follower
        else:
            slot = len(self._followers)
            self._followers.append(follower)
        return slot

    def replace(self, slot: int, model: Model) -> None:
        """Have the new model's follower go on from the old one's."""
        self._followers[slot] = model.follow(self._of(slot))

    def remove(self, slot: int) -> None:
        """Forget the follower."""
        self._followers[slot] = None
        self._free.append(slot)

    def push(self, slots: Slots, ts_s: Floats, values: Floats) -> Pushed:
        """Have each follower take its row."""
        scores, held = np.empty(len(slots)), np.zeros(len(slots), bool)
        for at, slot in enumerate(slots):
            follower = self._of(int(slot))
            scores[at] = follower.take(float(ts_s[at]), values[at])
            held[at] = follower.held
        return Pushed(scores, held)

    def explain(self, slot: int) -> Explanation:
        """Ask the follower."""
        return self._of(slot).explain()

    def state(self, slot: int) -> str:
        """Ask the follower."""
        return self._of(slot).state

    @property
    def memory_bytes(self) -> int:
        """The sum of what the followers say of themselves."""
        return sum(one.memory_bytes for one in self._followers if one is not None)

    def _of(self, slot: int) -> Follower:
        follower = self._followers[slot]
        if follower is None:
            raise IndexError(f"slot {slot} was given up")
        return follower
