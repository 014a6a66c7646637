"""One residual model for each regime of a machine: off, idle, running, as its power has them.

A machine that changes over (starts, warms up, takes a break, stops) is like nothing it is while it goes on.
So the rows of a change-over are left out of learning, and say nothing when they come: for as long as a
window still reaches back to it, and after that for as long as training shows the machine takes to calm down.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detector.models.base import (
    Explanation,
    Follower,
    Patience,
    TooFewRowsError,
    WindowFollower,
    WindowModel,
    WrongModelError,
    metrics_in,
)
from detector.models.residual import ResidualModel
from detector.models.splitting import regimes_of, split_kw, steady_s
from detector.rows import Floats, Rows
from detector.states import power_metric
from detector.tuning import Tuning

SETTLE_S: tuple[float, ...] = (300.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0)
"""How long after a change-over a regime may need to calm down."""
CALM: float = 0.6
"""A row is strange when it comes as near to the threshold as calm rows do not: the margin is 1.6."""
STRANGE_MOST: float = 0.005
"""The regime has calmed down when no more than this share of the later rows is strange."""
ROWS_LEAST = 120
"""A regime with fewer settled rows is judged by the model of the whole."""
HELD_MOST = 0.4
"""A machine that changes over during more of its time than this is judged as a whole."""


@dataclass(frozen=True, slots=True)
class RegimesModel(WindowModel):
    """`edges_kw` (regimes - 1) rise; `parts` and `settle_s` are by regime, `whole` learnt from all rows.

    A part is None where a regime has too few rows of its own: then `whole` judges it.
    """

    kind: ClassVar[str] = "regimes"

    whole: ResidualModel
    edges_kw: Floats
    settle_s: Floats
    parts: tuple[ResidualModel | None, ...]

    @property
    def metrics(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return the metrics of all regimes: they are the same."""
        return self.whole.metrics

    @property
    def samples(self) -> int:  # type: ignore[override]
        """Return how many rows were there to learn from."""
        return self.whole.samples

    @property
    def period_s(self) -> float:  # type: ignore[override]
        """Return the usual time between rows in training."""
        return self.whole.period_s

    @property
    def span_s(self) -> float:  # type: ignore[override]
        """Return the length of the window, which all regimes share."""
        return self.whole.span_s

    @property
    def reach_s(self) -> float:  # type: ignore[override]
        """Return for how long a change-over may say nothing, and a window."""
        return self.span_s + float(self.settle_s.max()) if self.splits else self.span_s

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return the names of the statistics of the whole, then of each regime that has its own model."""
        own = [f"regime{at}.{name}" for at, part in enumerate(self.parts) if part for name in part.features]
        return (*self.whole.features, *own)

    @classmethod
    def learn(cls, rows: Rows, tuning: Tuning) -> Self:
        """Split the rows by regime and learn each; one regime, the whole, where power has no modes."""
        whole = ResidualModel.learn(rows, tuning)
        alone = cls(whole, np.empty(0), np.zeros(1), (None,))
        power = power_metric(rows.metrics)
        powers_kw = _power_kw(rows, power)
        edges_kw = split_kw(powers_kw)
        if not len(edges_kw):
            return alone
        regimes = regimes_of(powers_kw, edges_kw)
        age_s = steady_s(rows.ts_s, regimes, whole.patience.hole_s, begun=False)
        learnt = [
            _learn_regime(rows, age_s, regimes == regime, whole, tuning)
            for regime in range(len(edges_kw) + 1)
        ]
        settle_s = np.array([settle for _, settle in learnt])
        held = np.mean(age_s < settle_s[regimes])
        if held > HELD_MOST or not any(part for part, _ in learnt):
            return alone
        return cls(whole, edges_kw, settle_s, tuple(part for part, _ in learnt))

    @property
    def splits(self) -> bool:
        """Whether any regime has a model of its own."""
        return any(part is not None for part in self.parts)

    def score(self, rows: Rows) -> Floats:
        """Score each row with the model of its regime; NaN in change-overs, as far as the rows show them."""
        if not self.splits:
            return self.whole.score(rows)
        regimes = regimes_of(self._power_kw(rows), self.edges_kw)
        if (regimes == regimes[-1:]).all():
            return self.of_regime(int(regimes[-1])).score(rows) if len(rows) else np.empty(0)
        scores = np.full(len(rows), np.nan)
        for regime in np.unique(regimes):
            scores = np.where(regimes == regime, self.of_regime(int(regime)).score(rows), scores)
        hold_s = np.maximum(self.settle_s[regimes], self.span_s)
        return np.where(steady_s(rows.ts_s, regimes, np.inf, begun=True) < hold_s, np.nan, scores)

    def explain(self, rows: Rows) -> Explanation:
        """Explain the last row with the model of the regime it is in."""
        if not self.splits:
            return self.whole.explain(rows)
        last = regimes_of(self._power_kw(rows), self.edges_kw)[-1]
        return self.of_regime(int(last)).explain(rows)

    def follow(self, before: Follower | None = None) -> "RegimesFollower":
        """Return a follower that remembers the last change-over longer than its window reaches."""
        return RegimesFollower(self, before)

    @property
    def patience(self) -> Patience:  # type: ignore[override]
        """Wait for two rows of training more: its other metrics may change over before the power does."""
        return replace(self.whole.patience, least_s=2.0 * self.period_s if self.splits else 0.0)

    def regime_of(self, values: Floats, before: int | None) -> int | None:
        """Return the regime of one row of values (metrics): `before` where it has no power."""
        power = power_metric(self.metrics)
        power_kw = np.nan if power is None else values[self.metrics.index(power)]
        return (
            int(np.searchsorted(self.edges_kw, power_kw, side="right")) if np.isfinite(power_kw) else before
        )

    def _power_kw(self, rows: Rows) -> Floats:
        return _power_kw(rows, power_metric(self.metrics))

    def of_regime(self, regime: int | None) -> ResidualModel:
        """Return the model that judges a regime, None being one that is not known."""
        return (self.parts[regime] if regime is not None else None) or self.whole

    def pack(self) -> tuple[dict[str, NDArray], dict[str, object]]:  # type: ignore[type-arg]
        """Pack the models side by side, each array's name with its model's before it."""
        arrays: dict[str, NDArray] = {"edges_kw": self.edges_kw, "settle_s": self.settle_s}  # type: ignore[type-arg]
        packed: dict[str, object] = {}
        models = {"whole": self.whole, **{str(at): part for at, part in enumerate(self.parts) if part}}
        for name, model in models.items():
            own, packed[name] = model.pack()
            arrays |= {f"{name}.{array}": value for array, value in own.items()}
        return arrays, {"metrics": self.metrics, "models": packed}

    @classmethod
    def unpack(cls, arrays: dict[str, NDArray], facts: dict[str, object]) -> Self:  # type: ignore[type-arg]
        """Check that the models fit each other, then put them together again."""
        packed = facts.get("models")
        edges_kw, settle_s = arrays.get("edges_kw"), arrays.get("settle_s")
        if not isinstance(packed, dict) or "whole" not in packed or edges_kw is None or settle_s is None:
            msg = "the stored regimes are incomplete; train again"
            raise WrongModelError(msg)
        if edges_kw.ndim != 1 or settle_s.shape != (len(edges_kw) + 1,):
            msg = f"{edges_kw.shape} edges do not fit {settle_s.shape} regimes; train again"
            raise WrongModelError(msg)
        models = {name: ResidualModel.unpack(_under(name, arrays), own) for name, own in packed.items()}
        if any(model.metrics != metrics_in(facts) for model in models.values()):
            msg = "the models of the regimes know other metrics; train again"
            raise WrongModelError(msg)
        parts = tuple(models.get(str(at)) for at in range(len(settle_s)))
        return cls(models["whole"], edges_kw, settle_s, parts)


class RegimesFollower(WindowFollower):
    """Knows since when the machine is in its regime; `model` scores the window of `span_s`."""

    def __init__(self, model: RegimesModel, before: Follower | None = None) -> None:
        super().__init__(model, before)
        self._regimes = model
        self._regime: int | None = None
        self._since_s = -np.inf
        for ts_s, values in zip(self.window.rows.ts_s, self.window.rows.values, strict=True):
            self._note(float(ts_s), values)
        if isinstance(before, RegimesFollower):
            self._since_s = max(self._since_s, before._since_s)  # noqa: SLF001  its own kind

    def take(self, ts_s: float, values: Floats) -> float:
        """Score the row, unless the machine has changed over lately."""
        self._note(ts_s, values)
        self.window.add(ts_s, values, self.model.span_s)
        hold_s = (
            -np.inf if self._regime is None else max(self._regimes.settle_s[self._regime], self.model.span_s)
        )
        self.held = ts_s - self._since_s < hold_s
        return (
            np.nan if self.held else float(self._regimes.of_regime(self._regime).score(self.window.rows)[-1])
        )

    def _note(self, ts_s: float, values: Floats) -> None:
        regime = self._regimes.regime_of(values, self._regime)
        if regime != self._regime and self._regime is not None:
            self._since_s = ts_s
        self._regime = regime


def _under(name: str, arrays: dict[str, NDArray]) -> dict[str, NDArray]:  # type: ignore[type-arg]
    return {key.removeprefix(f"{name}."): one for key, one in arrays.items() if key.startswith(f"{name}.")}


def _power_kw(rows: Rows, power: str | None) -> Floats:
    if power is None or power not in rows.metrics:
        return np.full(len(rows), np.nan)
    return rows.values[:, rows.metrics.index(power)]


def _learn_regime(
    rows: Rows, age_s: Floats, inside: NDArray[np.bool_], whole: ResidualModel, tuning: Tuning
) -> tuple[ResidualModel | None, float]:
    """Return a regime's model and after how long it holds.

    The rows longest after a change-over teach what calm is; the regime has settled from the time after
    which all rows in training were so.
    """
    times = [settle for settle in SETTLE_S if settle >= whole.span_s]
    enough = [settle for settle in times if (inside & (age_s >= settle)).sum() >= ROWS_LEAST]
    if not enough:
        return None, whole.span_s
    calm = _learn(rows.where(inside & (age_s >= enough[-1])), whole, tuning)
    if calm is None:
        return None, whole.span_s
    scores = np.nan_to_num(calm.score(rows))
    strange = inside & (scores >= CALM) & (age_s < enough[-1])
    settle_s = next(one for one in enough if _few(strange, inside & (age_s >= one) & (age_s < enough[-1])))
    settled = rows.where(inside & (age_s >= settle_s))
    model = _learn(settled, whole, tuning)
    if model is None:
        return None, whole.span_s
    # How it begins and ends is normal too, and may be missing in the later part.
    highest = np.nanmax(model.score(settled), initial=0.0)
    if highest >= 1.0:
        model = model.with_threshold(model.threshold * float(highest) * tuning.residual.margin)
    return model, settle_s


def _few(strange: NDArray[np.bool_], among: NDArray[np.bool_]) -> bool:
    return bool((strange & among).sum() <= STRANGE_MOST * among.sum())


def _learn(rows: Rows, whole: ResidualModel, tuning: Tuning) -> ResidualModel | None:
    try:
        model = ResidualModel.learn(rows, tuning)
    except TooFewRowsError:
        return None
    return model if model.span_s == whole.span_s else None
