"""The contract of a model: learn from the past, score windows, explain the last row of one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detector.config import Tuning
from detector.rows import Floats, Rows


class TooFewRowsError(ValueError):
    """There is too little past to learn from; collect more rows and train again."""


class WrongModelError(ValueError):
    """What is stored is not what this version can run; train the machine again."""


@dataclass(frozen=True, slots=True)
class MetricView:
    """One metric at the last row, all in its own unit but `sigma`, `score` and `share`.

    `expected`, `low` and `high` are for the single `value`. `window_value`, `window_expected`, `window_low`
    and `window_high` are for the mean over the window, on which the score rests. `score` is 1 at the
    threshold, `share` is this metric's part of the whole deviation.
    """

    metric: str
    value: float
    expected: float
    low: float
    high: float
    window_value: float
    window_expected: float
    window_low: float
    window_high: float
    sigma: float
    score: float
    share: float
    by_spread: bool
    frozen: bool
    brief: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every metric that had a value, the one that deviates most first. Shares add up to 1."""

    views: tuple[MetricView, ...]


class Model(ABC):
    """What is normal for one machine. Frozen: learning makes a new one; nothing changes its input.

    A score is 1 at the model's own threshold, higher is stranger, NaN where nothing can be said.
    """

    kind: ClassVar[str]
    metrics: tuple[str, ...]
    features: tuple[str, ...]
    samples: int
    period_s: float
    span_s: float

    @classmethod
    @abstractmethod
    def learn(cls, rows: Rows, tuning: Tuning) -> Self:
        """Learn from rows that are taken to be normal. Raises TooFewRowsError."""

    @abstractmethod
    def score(self, rows: Rows) -> Floats:
        """Return a score for every row (n), each from the window that ends there."""

    @abstractmethod
    def explain(self, rows: Rows) -> Explanation:
        """Explain the last row from the window that ends there."""

    @property
    def patience_s(self) -> float:
        """For how long a score must at least have been above the threshold before it is believed."""
        return 0.0

    def settled_at_s(self, rows: Rows) -> float:
        """Return until when (epoch s) rows say nothing because of what happened in these; -inf if nothing.

        A score looks back one window; this is for what has effects that last longer.
        """
        del rows
        return -np.inf

    @abstractmethod
    def pack(self) -> tuple[dict[str, NDArray], dict[str, object]]:  # type: ignore[type-arg]
        """Return the arrays, and what goes into JSON beside them, that make the same model again."""

    @classmethod
    @abstractmethod
    def unpack(cls, arrays: dict[str, NDArray], facts: dict[str, object]) -> Self:  # type: ignore[type-arg]
        """Make the model that was packed. Raises WrongModelError when shapes or names do not fit."""
