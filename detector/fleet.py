"""All machines in service: which lot each is in, and refits as their data makes them due."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detector.lot import Lot, News, Scored, Served
from detector.memory import Refit
from detector.models import Explanation, Model, TooFewRowsError, WrongKindError, choose, stack_key
from detector.models.stack import Slots
from detector.rows import Floats, Rows
from detector.signals import SignalFacts
from detector.states import MODE_FIELDS, high_power_kw, operating_state, power_metric
from detector.tuning import Tuning
from detector.verdict import Episode, Verdict, resumed

RESIDUALS = frozenset({"residual", "regimes"})


@dataclass(frozen=True, slots=True)
class Start:
    """What a machine begins to be served with.

    `past` (raw rows, the last ones before those to be scored) fills its windows. `remembered`, as the model
    sees rows, is what its refits go on from. `open_episode` was open at the time beside it; `refits` is how
    often the model was refitted since it was trained, `wanted` the kind that somebody wants it to be.
    """

    model: Model
    version: str
    facts: SignalFacts
    past: Rows
    remembered: Rows
    open_episode: tuple[Episode, float] | None = None
    refits: int = 0
    wanted: str | None = None


def relearn(served: Served, refit: Refit, tuning: Tuning) -> Model | None:
    """Learn a model of the same kind as the one in service, None where that cannot be done."""
    kind = served.model.kind
    same = served.wanted or (None if kind in RESIDUALS else kind)
    try:
        return choose(refit.rows, tuning, same)
    except (TooFewRowsError, WrongKindError):
        return None


class Fleet:
    """Machines by name. With `refit_at_once` due refits are made when they are to serve, else elsewhere.

    The same rows in the same order lead to the same scores and episodes, however they are cut into passes.
    """

    def __init__(self, tuning: Tuning, price: float | None = None, *, refit_at_once: bool) -> None:
        self.tuning = tuning
        self._price = price
        self._learn = self._relearn if refit_at_once else None
        self._lots: dict[tuple[str, int], Lot] = {}
        self._places: dict[str, tuple[Lot, int]] = {}
        self.maintained: set[str] = set()
        """Machines somebody works on, in service or not."""

    def serve(self, machine: str, start: Start) -> None:
        """Begin to serve a machine, or go on with a newly trained model: an open episode stays open."""
        model, facts = start.model, start.facts
        served = Served(machine, model, start.version, facts, 0, self._price, refits=start.refits)
        served.wanted = start.wanted
        served.high_kw = high_power_kw(start.remembered)
        verdict = Verdict(machine)
        if start.open_episode is not None:
            verdict = resumed(machine, *start.open_episode)
        if machine in self._places:
            lot, slot = self._places[machine]
            old = self.served(machine)
            if stack_key(old.model) == stack_key(model) and old.model.metrics == model.metrics:
                lot.renew(slot, served, start.remembered)
                return
            verdict = lot.remove(slot)
        lot = self._lot(model)
        served.sensors = lot.sensors.add(facts)
        lot.sensors.warm(served.sensors, start.past)
        slot = lot.add(served, facts.signals(start.past), start.remembered, verdict)
        self._places[machine] = lot, slot
        if machine in self.maintained:
            lot.maintain(slot, on=True)
        self._share_memory()

    def place(self, machine: str) -> tuple[Lot, int] | None:
        """Return where a machine is pushed to, None where it is not served."""
        return self._places.get(machine)

    def served(self, machine: str) -> Served:
        """Return a machine in service. Raises KeyError."""
        lot, slot = self._places[machine]
        served = lot.served[slot]
        if served is None:
            raise KeyError(machine)
        return served

    def push(self, rows: Sequence[tuple[str, float, Floats]]) -> list[tuple[float, bool, News | None]]:
        """Take rows of machine, time and raw values, in order of time for each; return score, held and news.

        The machines must be in service. A machine may have several rows.
        """
        results: list[tuple[float, bool, News | None]] = [(np.nan, False, None)] * len(rows)
        for places in _passes(rows):
            by_lot: dict[int, tuple[Lot, list[int], list[int]]] = {}
            for at in places:
                lot, slot = self._places[rows[at][0]]
                _, slots, own = by_lot.setdefault(id(lot), (lot, [], []))
                slots.append(slot)
                own.append(at)
            for lot, slots, own in by_lot.values():
                scored = self.push_lot(
                    lot,
                    np.array(slots),
                    np.array([rows[at][1] for at in own]),
                    np.array([rows[at][2] for at in own]),
                )
                news = {one.place: one for one in scored.news}
                for number, at in enumerate(own):
                    score, held = float(scored.scores[number]), bool(scored.held[number])
                    results[at] = score, held, news.get(number)
        return results

    def push_lot(self, lot: Lot, slots: Slots, ts_s: Floats, raw: Floats) -> Scored:
        """Take one row of each of n machines of a lot: slots (n), times (n), raw values (n, metrics)."""
        scored = lot.push(slots, ts_s, raw)
        for machine, model in scored.moves:
            self._move(machine, model)
        return scored

    def is_open(self, machine: str) -> bool:
        """Whether an episode of the machine is open."""
        lot, slot = self._places[machine]
        return lot.verdicts.get(slot).episode is not None

    def open(self) -> Iterable[str]:
        """Return the machines with an open episode."""
        for lot in self._lots.values():
            for slot in lot.verdicts.all_open():
                served = lot.served[slot]
                if served is not None:
                    yield served.machine

    def last(self, machine: str) -> tuple[float, bool]:
        """Return the score of the machine's last row, and whether it was held."""
        lot, slot = self._places[machine]
        return float(lot.scores[slot]), bool(lot.held[slot])

    def explain(self, machine: str) -> Explanation:
        """Explain the machine's last row."""
        lot, slot = self._places[machine]
        return lot.explain(slot)

    def state(self, machine: str, said: Mapping[str, str], explanation: Explanation | None = None) -> str:
        """Return what the machine is doing: what it or its model says, else what its power says.

        It is `maintenance` while that is so, whatever they say.
        """
        lot, slot = self._places[machine]
        served = self.served(machine)
        if served.maintained:
            return "maintenance"
        power = power_metric(served.model.metrics)
        views = explanation.views if explanation is not None else ()
        drawn_kw = next((view.value for view in views if view.metric == power), None)
        known = lot.stack.state(slot)
        said_or_drawn = operating_state(said, drawn_kw, served.high_kw)
        return known if known and not any(said.get(one) for one in MODE_FIELDS) else said_or_drawn

    def vanish(self, machine: str) -> News | None:
        """Close what is open because the machine's data stopped."""
        lot, slot = self._places[machine]
        return lot.vanish(slot)

    def maintain(self, machine: str, *, on: bool) -> News | None:
        """Note that a machine is in maintenance, or no longer: nothing opens, and what is open is closed."""
        if on:
            self.maintained.add(machine)
        else:
            self.maintained.discard(machine)
        place = self.place(machine)
        return None if place is None else place[0].maintain(place[1], on=on)

    @property
    def memory_bytes(self) -> int:
        """How much all machines take, their models not counted."""
        return sum(lot.memory_bytes for lot in self._lots.values())

    def __len__(self) -> int:
        return len(self._places)

    def _move(self, machine: str, model: Model) -> None:
        """Serve a refitted model that belongs into another lot, its window filled from what is remembered."""
        lot, slot = self._places[machine]
        old, remembered = self.served(machine), lot.memory.rows(slot)
        verdict = lot.remove(slot)
        other = self._lot(model)
        served = replace(old, model=model, refits=old.refits + 1, sensors=other.sensors.add(old.facts))
        past = remembered.where(remembered.ts_s > remembered.ts_s[-1:] - model.reach_s)
        self._places[machine] = other, other.add(served, past, remembered, verdict)

    def _relearn(self, served: Served, refit: Refit) -> Model | None:
        return relearn(served, refit, self.tuning)

    def _lot(self, model: Model) -> Lot:
        key = stack_key(model)
        if key not in self._lots:
            self._lots[key] = Lot(model, self.tuning, self._learn)
        return self._lots[key]

    def _share_memory(self) -> None:
        row_bytes = max((8 + 4 * metrics for _, metrics in self._lots), default=8)
        share = self.tuning.memory_bytes // (max(1, len(self._places)) * row_bytes)
        for lot in self._lots.values():
            lot.memory.rows_most = min(self.tuning.memory_rows, share)


def _passes(rows: Sequence[tuple[str, float, Floats]]) -> list[list[int]]:
    """Return places of rows, cut so that no machine comes twice in one pass."""
    passes: list[list[int]] = []
    seen: dict[str, int] = {}
    for at, (machine, _, _) in enumerate(rows):
        number = seen.get(machine, 0)
        seen[machine] = number + 1
        if number == len(passes):
            passes.append([])
        passes[number].append(at)
    return passes
