"""The contract of a model: learn from the past, follow a machine row by row, explain the last row."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from broker.messages import AnomalyType
from detector.rows import Floats, Rows
from detector.tuning import Tuning
from detector.windows import Window


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
    """Every metric that had a value, the one that deviates most first. Shares add up to 1.

    `cause` is set where the model itself knows of which type the anomaly is.
    """

    views: tuple[MetricView, ...]
    cause: AnomalyType | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """When an episode opens and closes.

    It opens after `rows` rows in a row with a score of 1 or more, the last at least `least_s` after the
    first. It closes when the score has stayed below `calm_ratio`, or below `fade_ratio` of the episode's
    highest, for `calm_s`; a gap longer than `hole_s` ends it. What a fault that faded left behind opens no
    other episode until it has gone below `calm_ratio`, or has risen by half. `window_s` is the time a score
    looks back.
    """

    rows: int
    least_s: float
    calm_ratio: float
    calm_s: float
    hole_s: float
    window_s: float
    fade_ratio: float = 0.0


class Follower(ABC):
    """One machine's live state under one model.

    `held` says that the last row says nothing because the machine changes over (starts, warms up …);
    `state` is the operating state where the model knows it, else empty. Both are of the last row taken.
    """

    held: bool = False
    state: str = ""

    @abstractmethod
    def take(self, ts_s: float, values: Floats) -> float:
        """Take a row, strictly later than all before; return its score.

        `values` (metrics) are in the order of the model's metrics, NaN where one is missing. The score is 1
        at the threshold, and NaN where there is nothing to say.
        """

    @abstractmethod
    def explain(self) -> Explanation:
        """Explain the last row taken."""

    @property
    def memory_bytes(self) -> int:
        """How much its arrays take, the model not counted."""
        return sum(one.nbytes for one in vars(self).values() if isinstance(one, np.ndarray | Window))


class Model(ABC):
    """What is normal for one machine. Frozen: learning makes a new one; nothing changes its input.

    A score is 1 at the model's own threshold, higher is stranger, NaN where nothing can be said. It rests on
    the rows of the last `span_s`; a follower that was given those of the last `reach_s` is as if it had
    always run.
    """

    kind: ClassVar[str]
    metrics: tuple[str, ...]
    features: tuple[str, ...]
    samples: int
    period_s: float
    span_s: float
    reach_s: float
    patience: Patience

    @classmethod
    @abstractmethod
    def learn(cls, rows: Rows, tuning: Tuning) -> Self:
        """Learn from rows that are taken to be normal; the same rows make the same model.

        Raises TooFewRowsError.
        """

    def score(self, rows: Rows) -> Floats:
        """Return a score for every row (n), as a new follower gives them one after the other."""
        follower, values = self.follow(), rows.of(self.metrics).values
        return np.array(
            [follower.take(float(ts_s), row) for ts_s, row in zip(rows.ts_s, values, strict=True)]
        )

    @abstractmethod
    def follow(self, before: Follower | None = None) -> Follower:
        """Return a new follower; one that goes on from `before`, an older model's, loses none of its past."""

    @abstractmethod
    def pack(self) -> tuple[dict[str, NDArray], dict[str, object]]:  # type: ignore[type-arg]
        """Return the arrays, and what goes into JSON beside them, that make the same model again."""

    @classmethod
    @abstractmethod
    def unpack(cls, arrays: dict[str, NDArray], facts: dict[str, object]) -> Self:  # type: ignore[type-arg]
        """Make the model that was packed. Raises WrongModelError when shapes or names do not fit."""


class WindowModel(Model):
    """A model whose score rests on a window of rows and on nothing before it."""

    @abstractmethod
    def score(self, rows: Rows) -> Floats:
        """Return a score for every row (n), each from the window that ends there."""

    @abstractmethod
    def explain(self, rows: Rows) -> Explanation:
        """Explain the last row from the window that ends there."""

    def follow(self, before: Follower | None = None) -> Follower:
        """Return a follower with a window of `reach_s`, filled with that of `before`."""
        return WindowFollower(self, before)


class WindowFollower(Follower):
    """Keeps the rows of the last `reach_s` and has the model score them anew with every row."""

    def __init__(self, model: WindowModel, before: Follower | None = None) -> None:
        self.model = model
        self.window = Window(model.metrics)
        if isinstance(before, WindowFollower) and before.window.metrics == model.metrics:
            self.window = before.window

    def take(self, ts_s: float, values: Floats) -> float:
        """Score the row from the window that ends with it."""
        self.window.add(ts_s, values, self.model.reach_s)
        return float(self.model.score(self.window.rows)[-1])

    def explain(self) -> Explanation:
        """Explain the last row from the window that ends with it."""
        return self.model.explain(self.window.rows)


def metrics_in(facts: dict[str, object]) -> tuple[str, ...]:
    """Return the names of the metrics in a packed model's facts. Raises WrongModelError."""
    metrics = facts.get("metrics")
    if not isinstance(metrics, (list, tuple)) or not all(isinstance(one, str) for one in metrics):
        raise WrongModelError("the stored metrics are no list of names; train again")
    return tuple(metrics)


def patience_in(facts: dict[str, object]) -> Patience:
    """Return the patience in a packed model's facts, an object of its fields. Raises WrongModelError."""
    try:
        return msgspec.convert(facts.get("patience"), Patience)
    except msgspec.ValidationError as error:
        raise WrongModelError(f"the stored patience is incomplete ({error}); train again") from error


def packed_fields(every: dict[str, object]) -> tuple[dict[str, NDArray], dict[str, object]]:  # type: ignore[type-arg]
    """Split a model's fields into arrays and JSON, its patience as an object of its fields."""
    arrays = {name: value for name, value in every.items() if isinstance(value, np.ndarray)}
    facts = {name: value for name, value in every.items() if name not in arrays}
    return arrays, facts | {"patience": msgspec.to_builtins(every["patience"])}


def check_fields(kind: str, wanted: set[str], found: set[str]) -> None:
    """Raise WrongModelError where a packed model has other fields than its kind has."""
    if wanted != found:
        differ = ", ".join(sorted(wanted ^ found))
        msg = f"a {kind} model has other fields (missing or unknown: {differ}); train again"
        raise WrongModelError(msg)
