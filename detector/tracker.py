"""One machine's way from joined rows to episodes; the service and the evaluation both run this."""

from dataclasses import dataclass, field

import numpy as np

from detector.config import Tuning
from detector.models import Explanation, Follower, Model
from detector.rows import Rows, thinned
from detector.states import high_power_kw, operating_state, power_metric
from detector.verdict import Episode, Seen, Told, Verdict, step, vanish
from detector.windows import LiveRow


@dataclass(frozen=True, slots=True)
class Looked:
    """What one row led to. `score` is NaN where nothing can be said; `held` while it changes over."""

    ts_s: float
    score: float
    told: tuple[Told, ...] = ()
    explanation: Explanation | None = None
    held: bool = False


@dataclass(slots=True)
class Tracker:
    """Scores rows with the model in service, and remembers normal rows for the next refit.

    `memory` is what models learn from: never rows that were scored as strange, nor those of an episode.
    The first `settled` rows of it, those of the last training, stay in every refit.
    """

    machine: str
    model: Model
    version: str
    tuning: Tuning
    memory: Rows
    settled: int
    said: dict[str, str] = field(default_factory=dict)
    refits: int = 0
    high_kw: float | None = None
    _follower: Follower = field(init=False)
    _last: tuple[float, np.ndarray] = field(init=False)
    _verdict: Verdict = field(init=False)
    _fresh: list[tuple[float, np.ndarray]] = field(default_factory=list)
    _since_refit: int = 0
    _remembered_s: float = -np.inf
    _explained: Explanation | None = None

    @classmethod
    def start(cls, machine: str, model: Model, version: str, past: Rows, tuning: Tuning) -> "Tracker":
        """Make a tracker from a trained model and the rows that refits go on from."""
        past = thinned(past.of(model.metrics), tuning)
        tracker = cls(machine, model, version, tuning, past, len(past))
        tracker.high_kw = high_power_kw(past)
        return tracker

    def __post_init__(self) -> None:
        self._follower = self.model.follow()
        self._verdict = Verdict(self.machine)
        if len(self.memory):
            self._remembered_s = float(self.memory.ts_s[-1])

    def go_on_from(self, older: "Tracker") -> None:
        """Take over what an older model's tracker had begun."""
        self._verdict, self._explained = older._verdict, older._explained  # noqa: SLF001  its own kind

    def resume(self, kept: tuple[Episode, float] | None) -> None:
        """Go on with an episode that was open when the process ended."""
        if kept is not None:
            self._verdict = Verdict(self.machine, last_s=kept[1], episode=kept[0])

    @property
    def open(self) -> bool:
        """Whether an episode is open."""
        return self._verdict.episode is not None

    @property
    def named_version(self) -> str:
        """The trained version, and how often it has been refitted since."""
        return f"{self.version}.{self.refits}" if self.refits else self.version

    def warm(self, row: LiveRow) -> None:
        """Fill window and memory with a row of the past, without a verdict."""
        self._remember(row, self._score(row))

    def take(self, row: LiveRow, *, explain: bool = False) -> Looked:
        """Score one row, later than all before, and step the verdict; explained when asked or suspicious."""
        score = self._score(row)
        explanation = None
        if explain or score >= 1.0 or self.open:
            explanation = self._follower.explain()
        metric = explanation.views[0].metric if explanation and explanation.views else self.model.metrics[0]
        held = self._follower.held
        seen = Seen(row.ts_s, score, metric, self._excess_kw(explanation), held)
        self._verdict, told = step(self._verdict, seen, self.model.patience)
        self._remember(row, score)
        if explanation is not None and explanation.views:
            self._explained = explanation
        shown = explanation or (self._explained if told else None)
        return Looked(row.ts_s, score, tuple(told), shown, held)

    def vanish(self) -> tuple[tuple[Told, ...], Explanation | None]:
        """Close what is open because the machine's data stopped."""
        self._verdict, told = vanish(self._verdict)
        return tuple(told), self._explained

    def state(self, explanation: Explanation | None) -> str:
        """Return what the machine is doing."""
        power = power_metric(self.model.metrics)
        views = explanation.views if explanation else ()
        drawn = next((view.value for view in views if view.metric == power), None)
        return operating_state(self.said, drawn, self.high_kw)

    def refit_rows(self) -> Rows | None:
        """Return what the next refit learns from once enough new rows are there, else None.

        The most recent windows are left out, so that a fault that is just beginning is not learnt.
        """
        if self._since_refit < self.tuning.refit_rows:
            return None
        self._since_refit = 0
        ts_s = np.array([ts_s for ts_s, _ in self._fresh])
        values = np.array([values for _, values in self._fresh]).reshape(len(ts_s), len(self.model.metrics))
        memory = Rows(
            self.memory.metrics,
            np.concatenate([self.memory.ts_s, ts_s]),
            np.concatenate([self.memory.values, values]),
        )
        self._fresh.clear()
        surplus = max(0, len(memory) - self.tuning.memory_rows)
        self.memory = memory.cut(surplus)
        self.settled = max(0, self.settled - surplus)
        newest = self._last[0] - self.tuning.left_out_windows * self.model.span_s
        until = int(np.searchsorted(self.memory.ts_s, newest, side="right"))
        return self.memory.cut(0, max(self.settled, until))

    def adopt(self, model: Model) -> None:
        """Go on with a refitted model of the same metrics; an open episode stays open."""
        self.model = model
        self._follower = model.follow(self._follower)
        self.refits += 1

    def _score(self, row: LiveRow) -> float:
        self._last = row.ts_s, row.of(self.model.metrics)
        return self._follower.take(*self._last)

    def _remember(self, row: LiveRow, score: float) -> None:
        if row.ts_s - self._remembered_s < 0.75 * self.model.period_s:
            return
        self._remembered_s = row.ts_s
        self._since_refit += 1
        if not score >= 1.0:
            self._fresh.append(self._last)

    def _excess_kw(self, explanation: Explanation | None) -> float | None:
        power = power_metric(self.model.metrics)
        if explanation is None or power is None:
            return None
        view = next((view for view in explanation.views if view.metric == power), None)
        return None if view is None else view.value - view.expected
