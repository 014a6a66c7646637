"""One set of figures for each operating state of a machine, and for how long it has been in it.

What a machine is doing is read off its switches: one or two metrics whose modes tell most of all the others
(power, speed, load …). Each combination that training has seen is a regime. Just after a change-over a
machine is like nothing it is later: for as long as training shows, a regime is held, which is to say not
judged; then it is judged loosely, as the `young` part of the regime, which has learnt from rows just as
young; and from `OLD_S` on strictly. Where training has seen too few change-overs to know what is usual after
one, the machine is held until it is old. What training has hardly seen is not judged; a combination in which
it has never stayed is a change-over too, and if the machine stays there, it is judged as the nearest regime.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

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
from detector.models.limits import with_windows
from detector.models.regimes_learning import HELD, OLD_S, Regime, learn_regimes
from detector.models.residual import ResidualModel
from detector.models.splitting import CODES, MODES_MOST, NO_SWITCHES, Switches, ages_s, code_of, stays_of
from detector.rows import Floats, Rows
from detector.states import RESTING, STARTUP, operating_state, power_metric
from detector.tuning import Tuning

HELD_MOST = 0.4
"""A machine that would be held for more of its time than this is judged as a whole."""
PACKED: Final = ("young", "old")


@dataclass(frozen=True, slots=True)
class RegimesModel(WindowModel):
    """`regimes` by number; `of_code` (CODES) is the regime of each combination of modes, or HELD.

    `whole` has learnt from all rows: it judges machines that have no regimes.
    """

    kind: ClassVar[str] = "regimes"

    whole: ResidualModel
    switches: Switches
    of_code: NDArray[np.int64]
    regimes: tuple[Regime, ...]

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
        """Return for how long it matters when the machine changed over, and a window."""
        return self.span_s + OLD_S if self.splits else self.span_s

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return the names of the statistics of the whole, then of each regime's parts."""
        own = [
            f"regime{number}.{name}.{feature}"
            for number, regime in enumerate(self.regimes)
            for name, part in zip(PACKED, (regime.young, regime.old), strict=True)
            if part is not None
            for feature in part.features
        ]
        return (*self.whole.features, *own)

    @classmethod
    def learn(cls, rows: Rows, tuning: Tuning) -> Self:
        """Find the switches and learn each regime; without switches there is the whole alone."""
        whole = ResidualModel.learn(rows, tuning)
        alone = cls(whole, NO_SWITCHES, np.full(CODES, HELD), ())
        try:
            switches, of_code, regimes = learn_regimes(rows, whole)
        except TooFewRowsError:
            return alone
        made = cls(whole, switches, of_code, regimes)
        if not made.splits or np.mean(~np.isfinite(made.score(rows))) > HELD_MOST:
            return alone
        return made

    @property
    def splits(self) -> bool:
        """Whether the machine is judged by regimes."""
        return bool(self.regimes)

    @property
    def patience(self) -> Patience:  # type: ignore[override]
        """Wait for a whole window of strange rows: one row that goes astray is strange for a window."""
        return replace(self.whole.patience, least_s=self.span_s) if self.splits else self.whole.patience

    def regime_of(self, modes: NDArray[np.int64]) -> int:
        """Return the regime of the switches' modes (switches), or HELD."""
        return int(self.of_code[code_of(modes)])

    def part(self, regime: int, age_s: float) -> ResidualModel | None:
        """Return what judges a regime at an age, None where nothing does."""
        return self.regimes[regime].at(age_s) if regime != HELD else None

    def state(self, regime: int, before: int, age_s: float) -> str:
        """Return what the machine is doing by the usual power of its regime, empty where that is not known.

        It is `startup` for as long as it is held where it had been resting `before`.
        """
        now, earlier = self._drawn(regime), self._drawn(before)
        if now == "running" and earlier in RESTING and age_s < self.regimes[regime].hold_s:
            return STARTUP
        return now

    def _drawn(self, regime: int) -> str:
        power = power_metric(self.metrics)
        if power is None or regime < 0:
            return ""
        column = self.metrics.index(power)
        powers_kw = [float(one.any_part.center[column]) for one in self.regimes]
        return operating_state({}, powers_kw[regime], max(powers_kw))

    def score(self, rows: Rows) -> Floats:
        """Score each row as its regime and age have it; NaN where that is not judged.

        The first row's stay counts as old: what came before is not known.
        """
        if not self.splits or not len(rows):
            return self.whole.score(rows)
        values = rows.of(self.metrics).values
        codes = self.switches.codes(values)
        found = self.of_code[codes]
        ages = ages_s(rows.ts_s, stays_of(rows.ts_s, codes, np.inf), begun=True)
        scores = np.full(len(rows), np.nan)
        for number, regime in enumerate(self.regimes):
            for part, ages_own in regime.judges(ages):
                own = (found == number) & ages_own
                if own.any():
                    near = with_windows(rows.ts_s, own, self.span_s)
                    scores[own] = part.score(rows.where(near))[own[near]]
        return scores

    def explain(self, rows: Rows) -> Explanation:
        """Explain the last row as its regime has it."""
        if not self.splits:
            return self.whole.explain(rows)
        modes = self.switches.modes(rows.of(self.metrics).values)[-1]
        return (self.part(self.regime_of(modes), np.inf) or self.whole).explain(rows)

    def follow(self, before: Follower | None = None) -> "RegimesFollower":
        """Return a follower that remembers the last change-over longer than its window reaches."""
        return RegimesFollower(self, before)

    def pack(self) -> tuple[dict[str, NDArray], dict[str, object]]:  # type: ignore[type-arg]
        """Pack the models side by side, each array's name with its model's before it."""
        arrays: dict[str, NDArray] = {  # type: ignore[type-arg]
            "columns": self.switches.columns,
            "edges": self.switches.edges,
            "of_code": self.of_code,
            "hold_s": np.array([regime.hold_s for regime in self.regimes]),
        }
        models = {"whole": self.whole}
        for number, regime in enumerate(self.regimes):
            for name, part in zip(PACKED, (regime.young, regime.old), strict=True):
                if part is not None:
                    models[f"{name}{number}"] = part
        packed: dict[str, object] = {}
        for name, model in models.items():
            own, packed[name] = model.pack()
            arrays |= {f"{name}.{array}": value for array, value in own.items()}
        return arrays, {"metrics": self.metrics, "models": packed}

    @classmethod
    def unpack(cls, arrays: dict[str, NDArray], facts: dict[str, object]) -> Self:  # type: ignore[type-arg]
        """Check that the models fit each other, then put them together again."""
        packed = facts.get("models")
        wanted = ("columns", "edges", "of_code", "hold_s")
        if not isinstance(packed, dict) or "whole" not in packed or any(one not in arrays for one in wanted):
            raise WrongModelError("the stored regimes are incomplete; train again")
        columns, edges, of_code, hold_s = (arrays[one] for one in wanted)
        if edges.shape != (len(columns), MODES_MOST - 1) or of_code.shape != (CODES,) or hold_s.ndim != 1:
            msg = (
                f"edges {edges.shape}, codes {of_code.shape} do not fit {columns.shape} switches; train again"
            )
            raise WrongModelError(msg)
        metrics = metrics_in(facts)
        if of_code.max(initial=HELD) >= len(hold_s) or columns.max(initial=-1) >= len(metrics):
            raise WrongModelError("the stored regimes name what is not there; train again")
        models = {name: ResidualModel.unpack(_under(name, arrays), own) for name, own in packed.items()}
        if any(model.metrics != metrics for model in models.values()):
            raise WrongModelError("the models of the regimes know other metrics; train again")
        regimes = tuple(
            Regime(float(hold), *(models.get(f"{name}{number}") for name in PACKED))
            for number, hold in enumerate(hold_s)
        )
        return cls(models["whole"], Switches(columns.astype(np.intp), edges), of_code, regimes)


class RegimesFollower(WindowFollower):
    """Knows since when the machine is in its regime; its part at that age scores the window of `span_s`."""

    def __init__(self, model: RegimesModel, before: Follower | None = None) -> None:
        super().__init__(model, before)
        self._regimes = model
        self._modes: NDArray[np.int64] | None = None
        self._regime = self._before = HELD
        self._since_s = -np.inf
        self._part: ResidualModel | None = None
        for ts_s, values in zip(self.window.rows.ts_s, self.window.rows.values, strict=True):
            self._note(float(ts_s), values)
        if isinstance(before, RegimesFollower):
            self._since_s = max(self._since_s, before._since_s)  # noqa: SLF001  its own kind

    def take(self, ts_s: float, values: Floats) -> float:
        """Score the row, unless the machine has changed over lately."""
        model = self._regimes
        self.window.add(ts_s, values, model.span_s)
        if not model.splits:
            self._part = model.whole
        else:
            self._note(ts_s, values)
            self._part = model.part(self._regime, ts_s - self._since_s)
            self.state = model.state(self._regime, self._before, ts_s - self._since_s)
        self.held = self._part is None
        return np.nan if self._part is None else float(self._part.score(self.window.rows)[-1])

    def explain(self) -> Explanation:
        """Explain the last row taken; one that was held has nothing to explain."""
        return self._part.explain(self.window.rows) if self._part is not None else Explanation(())

    def _note(self, ts_s: float, values: Floats) -> None:
        switches = self._regimes.switches
        if not len(switches):
            return
        modes, before = switches.modes(values[None, :])[0], self._modes
        if before is not None:
            modes = np.where(np.isfinite(values[switches.columns]), modes, before)
            if (modes != before).any():
                self._since_s = ts_s
        self._modes = modes
        regime = self._regimes.regime_of(modes)
        if regime != self._regime:
            self._before = self._regime
        self._regime = regime


def _under(name: str, arrays: dict[str, NDArray]) -> dict[str, NDArray]:  # type: ignore[type-arg]
    return {key.removeprefix(f"{name}."): one for key, one in arrays.items() if key.startswith(f"{name}.")}
