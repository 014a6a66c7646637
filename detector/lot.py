"""Machines whose models fit one stack: from raw rows to episodes, all rows of a pass together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from broker.messages import AnomalyType
from detector.excess import excess_kw
from detector.memory import Memory, Refit
from detector.models import Explanation, Model, stack_for, stack_key
from detector.models.stack import Slots
from detector.rows import Floats, Rows
from detector.sensors import SensorBank
from detector.signals import SignalFacts
from detector.troubles import explained
from detector.tuning import Tuning
from detector.verdict import Seen, Told, Verdict, step, vanish
from detector.verdict_table import VerdictTable

NOBODY: Final = Explanation(())
EXPLAINED_EVERY_S: Final = 10.0
"""An explanation costs as much as scoring a hundred machines, so the excess is summed up in such steps."""


@dataclass(slots=True)
class Served:
    """A machine in service. `told_of` is its last explanation of something strange, `told_type` its type.

    `wanted` is the kind of model somebody wants it to have, None where its data decides.
    """

    machine: str
    model: Model
    version: str
    facts: SignalFacts
    sensors: int
    price: float | None
    maintained: bool = False
    high_kw: float | None = None
    refits: int = 0
    wanted: str | None = None
    told_of: Explanation = NOBODY
    told_type: AnomalyType | None = None
    explained_s: float = -np.inf
    refit: Refit | None = None
    refitted: Model | None = None

    @property
    def named_version(self) -> str:
        """The trained version, and how often it has been refitted since."""
        return f"{self.version}.{self.refits}" if self.refits else self.version


@dataclass(frozen=True, slots=True)
class News:
    """What there is to publish of a row: `place` is that of the row in the pass."""

    place: int
    served: Served
    score: float
    told: tuple[Told, ...]
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Scored:
    """A pass of n rows: `scores` (n) with sensors' trouble in them, `held` (n), and what is to be told.

    `due` are refits to be made, `adopted` machines with a refitted model and since when, `moves` machines
    whose refitted models belong into another lot.
    """

    scores: Floats
    held: NDArray[np.bool_]
    news: list[News]
    due: list[tuple[Served, Refit]]
    adopted: list[tuple[Served, float]]
    moves: list[tuple[str, Model]]


class Lot:
    """By slot. `learn` makes the model of a refit when it is to serve, else it is made elsewhere."""

    def __init__(
        self, example: Model, tuning: Tuning, learn: Callable[["Served", Refit], Model | None] | None
    ) -> None:
        self.width = metrics = len(example.metrics)
        self.stack = stack_for(example)
        self.sensors = SensorBank(metrics, tuning.sensor)
        self.verdicts = VerdictTable()
        self.memory = Memory(metrics, tuning)
        self.served: list[Served | None] = []
        self._learn = learn
        self._bank = np.empty(0, np.intp)
        self._adopt_s = np.empty(0)
        self._maintained = np.empty(0, bool)
        self.scores = np.empty(0)
        self.held = np.empty(0, bool)
        self._moving: list[tuple[str, Model]] = []

    def add(self, served: Served, past: Rows, remembered: Rows, verdict: Verdict) -> int:
        """Take a machine in; `past` and `remembered` are as its model sees rows. Returns its slot."""
        model = served.model
        slot = self.stack.add(model, past)
        if slot >= len(self.served):
            self._resize(max(8, 2 * slot))
        self.served[slot] = served
        self._bank[slot], self._adopt_s[slot], self._maintained[slot] = served.sensors, np.inf, False
        self.verdicts.begin(slot, verdict, model.patience)
        self.memory.begin(slot, remembered, model.period_s, model.span_s, model.samples)
        return slot

    def renew(self, slot: int, served: Served, remembered: Rows) -> None:
        """Go on with a newly trained model of the same metrics; windows and verdict stay."""
        old, model = self._of(slot), served.model
        served.sensors, served.maintained = old.sensors, old.maintained
        served.told_of, served.told_type = old.told_of, old.told_type
        self.served[slot], self._adopt_s[slot] = served, np.inf
        self.sensors.replace(served.sensors, served.facts)
        self.stack.replace(slot, model)
        self.verdicts.adopt(slot, model.patience)
        self.memory.begin(slot, remembered, model.period_s, model.span_s, model.samples)

    def remove(self, slot: int) -> Verdict:
        """Forget a machine; returns its verdict."""
        verdict = self.verdicts.get(slot)
        self.verdicts.put(slot, Verdict(verdict.machine))
        self.stack.remove(slot)
        self.sensors.remove(int(self._bank[slot]))
        self.memory.forget(slot)
        self.served[slot] = None
        return verdict

    def push(self, slots: Slots, ts_s: Floats, raw: Floats) -> Scored:
        """Take one row of each of n machines: distinct slots (n), times (n), raw values (n, metrics)."""
        ready = np.flatnonzero(self._adopt_s[slots] <= ts_s)
        since = [(self._of(int(slots[at])), float(ts_s[at])) for at in ready if self._adopt(int(slots[at]))]
        checked = self.sensors.check(self._bank[slots], ts_s, raw)
        pushed = self.stack.push(slots, ts_s, checked.values)
        scores, held = pushed.scores, pushed.held
        if checked.trouble.any():
            scores = np.where(checked.trouble, np.fmax(scores, 1.0), scores)
            held = held & ~checked.trouble
        maintained = self._maintained[slots]
        if maintained.any():
            scores, held = np.where(maintained, np.nan, scores), held | maintained
        self.scores[slots], self.held[slots] = scores, held
        news = []
        for place in self.verdicts.calm(slots, ts_s, scores, held):
            news += self._step(int(place), int(slots[place]), float(ts_s[place]), scores[place], held[place])
        normal = ~(scores >= 1.0) & ~self.verdicts.open(slots) & ~maintained
        due = self.memory.note(slots, ts_s, checked.values, normal)
        planned = [(self._of(refit.slot), refit) for refit in due if self._plan(refit)]
        return Scored(scores, held, news, planned, since, self._moves())

    def vanish(self, slot: int) -> News | None:
        """Close what is open because the data stopped."""
        verdict, told = vanish(self.verdicts.get(slot))
        self.verdicts.put(slot, verdict)
        served = self._of(slot)
        about = served.told_of if served.told_of.views else self.explain(slot)
        return News(0, served, np.nan, tuple(told), about) if told else None

    def maintain(self, slot: int, *, on: bool) -> News | None:
        """Note that a machine is in maintenance or no longer; what is open is closed."""
        self._maintained[slot] = self._of(slot).maintained = on
        return self.vanish(slot) if on else None

    def explain(self, slot: int) -> Explanation:
        """Explain the last row: by the trouble of a sensor where there is one."""
        troubles = self.sensors.troubles(int(self._bank[slot]))
        own = self.stack.explain(slot)
        return explained(troubles[0], own) if troubles else own

    @property
    def memory_bytes(self) -> int:
        """How much all machines take, their models not counted."""
        parts = (self.stack, self.sensors, self.verdicts, self.memory)
        return sum(part.memory_bytes for part in parts)

    def _step(self, place: int, slot: int, ts_s: float, score: float, held: bool) -> list[News]:  # noqa: FBT001
        """Step the verdict of a suspicious row; explain it where that is told, or was long ago."""
        served, before, patience = self._of(slot), self.verdicts.get(slot), self.verdicts.patience(slot)
        seen = Seen(ts_s, float(score), served.model.metrics[0], None, bool(held), served.price)
        verdict, told = step(before, seen, patience)
        late = verdict.episode is not None and ts_s - served.explained_s >= EXPLAINED_EVERY_S
        if late or any(one.ts_s == ts_s for one in told):
            found = self.explain(slot)
            drawn_kw = excess_kw(found, served.model, served.facts)
            if found.views:
                served.explained_s = ts_s
                seen = replace(seen, metric=found.views[0].metric)
                # What an episode was about is not what its last, calm row is about.
                if seen.score >= 1.0 or not served.told_of.views:
                    served.told_of = found
            verdict, told = step(before, replace(seen, excess_kw=drawn_kw), patience)
        self.verdicts.put(slot, verdict)
        return [News(place, served, seen.score, tuple(told), served.told_of)] if told else []

    def _plan(self, refit: Refit) -> bool:
        """Note a due refit; whether it is to be made, which it is not while an older one is under way."""
        served = self._of(refit.slot)
        if served.refit is not None:
            return False
        served.refit, self._adopt_s[refit.slot] = refit, refit.adopt_s
        return True

    def _adopt(self, slot: int) -> bool:
        """Go on with the refitted model, if there is one; look again at the next row if it is being made."""
        served = self._of(slot)
        if served.refit is not None and self._learn is not None:
            served.refitted = self._learn(served, served.refit)
        elif served.refit is not None and served.refitted is None:
            return False
        model, served.refit, served.refitted = served.refitted, None, None
        self._adopt_s[slot] = np.inf
        if model is None:
            return False
        if stack_key(model) != stack_key(served.model):
            self._moving.append((served.machine, model))
            return False
        served.model = model
        served.refits += 1
        self.stack.replace(slot, model)
        self.verdicts.adopt(slot, model.patience)
        self.memory.adopt(slot, model.period_s, model.span_s, model.samples)
        return True

    def _moves(self) -> list[tuple[str, Model]]:
        moving, self._moving = self._moving, []
        return moving

    def _of(self, slot: int) -> Served:
        served = self.served[slot]
        if served is None:
            raise IndexError(f"slot {slot} serves no machine")
        return served

    def _resize(self, slots: int) -> None:
        more = slots - len(self.served)
        self.served += [None] * more
        self._bank = np.concatenate([self._bank, np.zeros(more, np.intp)])
        self._adopt_s = np.concatenate([self._adopt_s, np.full(more, np.inf)])
        self._maintained = np.concatenate([self._maintained, np.zeros(more, bool)])
        self.scores = np.concatenate([self.scores, np.full(more, np.nan)])
        self.held = np.concatenate([self.held, np.zeros(more, bool)])
        self.verdicts.resize(slots)
        self.memory.resize(slots)
