"""Live rows of all machines: parsed, joined, and scored together a tick at a time."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

import numpy as np

from broker import telemetry
from broker.rows import Parsed, Row
from detector.fleet import Fleet
from detector.lot import Lot, News, Served
from detector.memory import Refit
from detector.windows import LATE_S, Joiner, LiveRow

AHEAD_S: Final = 300.0
"""A row this far ahead of its arrival is not scored: one of them would make all that follow late."""
BRIDGE_ROWS: Final = 400
ALONE_S: Final = 60.0
NOTHING: Final = (float("nan"),)
Values = tuple[float, ...]


@dataclass(slots=True)
class MachineLive:
    """One machine as the detector sees it. `seen` counts rows that history did not have when last asked.

    `recent` are its last rows as long as it is not served: they come between history and what is scored.
    """

    machine: str
    name: str
    joiner: Joiner = field(default_factory=Joiner)
    said: dict[str, str] = field(default_factory=dict)
    recent: deque[LiveRow] = field(default_factory=lambda: deque(maxlen=BRIDGE_ROWS))
    metrics: tuple[str, ...] = ()
    pickers: dict[tuple[str, ...], Callable[[Values], Values]] = field(default_factory=dict)
    queued: int = 0
    arrived_s: float = 0.0
    ts_s: float = 0.0
    told_s: float = 0.0
    told_ts_s: float = 0.0
    seen: int = 0
    late_at_s: float = 0.0
    look_after_s: float = 0.0
    look_wait_s: float = 2.0
    known_rows: int | None = None
    trained_rows: int = 0
    not_scored: int = 0

    def learn_again(self) -> None:
        """Be due for training whatever has been learnt already."""
        self.known_rows, self.trained_rows = None, 0

    @property
    def served(self) -> bool:
        """Whether there is a model in service."""
        return bool(self.metrics)

    def serve(self, metrics: tuple[str, ...]) -> None:
        """Hand over rows from now on, with these metrics in this order."""
        self.metrics = metrics
        self.pickers.clear()
        self.recent.clear()

    def in_order(self, metrics: tuple[str, ...], values: Values) -> Values:
        """Return the values in the order the model has them, NaN for what is not there."""
        if metrics == self.metrics:
            return values
        try:
            pick = self.pickers[metrics]
        except KeyError:
            pick = self.pickers[metrics] = _picker(metrics, self.metrics)
        return pick(values + NOTHING)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tick led to: how many rows were scored, what is to be told, which refits are due or serve.

    `newest_s` are the times of the rows, `arrived_s` when the last message of their machines came.
    """

    rows: int
    news: list[tuple[MachineLive, News]]
    due: list[tuple[Served, Refit]]
    adopted: list[tuple[Served, float]]
    newest_s: list[float]
    arrived_s: list[float]


_Queued = tuple[MachineLive, float, Values]


class Live:
    """The table of machines. Everything here is synchronous and quick."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.machines: dict[str, MachineLive] = {}
        self._passes: list[list[_Queued]] = []

    def machine(self, machine: str) -> MachineLive:
        """Return the entry of a machine, made when it is new."""
        found = self.machines.get(machine)
        if found is None:
            found = self.machines[machine] = MachineLive(machine, machine)
        return found

    def take(self, topic: str, payload: bytes, arrived: datetime) -> None:
        """Take one message of telemetry; what cannot be read is the gateway's to refuse."""
        parsed = telemetry.read(topic, payload, arrived)
        if len(parsed.rows) == 1 and not parsed.states:
            self._take_row(self.machine(parsed.machine), parsed.rows[0], arrived.timestamp())
        elif parsed.rows or parsed.states:
            self._take_all(parsed, arrived.timestamp())

    def _take_row(self, live: MachineLive, row: Row, arrived_s: float) -> None:
        """Take what nearly every message is: one row, which needs no joining."""
        ts_s = row.ts.timestamp()
        if arrived_s - LATE_S <= ts_s <= arrived_s + AHEAD_S and live.joiner.whole(
            ts_s, row.metrics, row.values
        ):
            live.seen += 1
            live.arrived_s = arrived_s
            if live.metrics:
                self._queue(live, ts_s, live.in_order(row.metrics, row.values))
            else:
                live.recent.append(LiveRow(ts_s, dict(zip(row.metrics, row.values, strict=True))))
        else:
            self._join(live, ts_s, dict(zip(row.metrics, row.values, strict=True)), arrived_s)

    def _take_all(self, parsed: Parsed, arrived_s: float) -> None:
        live = self.machine(parsed.machine)
        for state in parsed.states:
            live.said[state.field] = state.text
        by_time: dict[float, dict[str, float]] = defaultdict(dict)
        for row in parsed.rows:
            by_time[row.ts.timestamp()].update(zip(row.metrics, row.values, strict=True))
        for ts_s in sorted(by_time):
            self._join(live, ts_s, by_time[ts_s], arrived_s)

    def _join(self, live: MachineLive, ts_s: float, readings: Mapping[str, float], arrived_s: float) -> None:
        live.seen += 1
        live.arrived_s = max(live.arrived_s, arrived_s)
        if not arrived_s - LATE_S <= ts_s <= arrived_s + AHEAD_S:
            live.not_scored += 1
            live.late_at_s = arrived_s
            return
        for row in live.joiner.take(ts_s, readings):
            if live.metrics:
                self._queue(live, row.ts_s, live.in_order(tuple(row.values), tuple(row.values.values())))
            else:
                live.recent.append(row)

    def _queue(self, live: MachineLive, ts_s: float, values: Values) -> None:
        """Put a row into the pass after that of the machine's row before it."""
        number = live.queued
        if number == len(self._passes):
            self._passes.append([])
        self._passes[number].append((live, ts_s, values))
        live.queued = number + 1

    def score(self) -> Outcome:
        """Score all that was taken since the last call."""
        passes, self._passes = self._passes, []
        outcome = Outcome(sum(map(len, passes)), [], [], [], [], [])
        for queued in passes:
            by_lot: dict[int, tuple[Lot, list[_Queued], list[int]]] = {}
            for one in queued:
                one[0].queued = 0
                place = self.fleet.place(one[0].machine)
                if place is not None and len(one[2]) == place[0].width:
                    _, rows, slots = by_lot.setdefault(id(place[0]), (place[0], [], []))
                    rows.append(one)
                    slots.append(place[1])
            for lot, rows, slots in by_lot.values():
                self._score_lot(lot, rows, slots, outcome)
        return outcome

    def _score_lot(self, lot: Lot, rows: list[_Queued], slots: list[int], outcome: Outcome) -> None:
        lives, ts_s, values = zip(*rows, strict=True)
        times = np.array(ts_s)
        scored = self.fleet.push_lot(lot, np.array(slots), times, np.array(values))
        for live, at_s in zip(lives, ts_s, strict=True):
            live.ts_s = at_s
        outcome.news.extend((lives[one.place], one) for one in scored.news)
        outcome.newest_s.extend(ts_s)
        outcome.arrived_s.extend(live.arrived_s for live in lives)
        outcome.due.extend(scored.due)
        outcome.adopted.extend(scored.adopted)

    def silent(self, now_s: float) -> list[MachineLive]:
        """Return the machines with an open episode whose data stopped arriving long ago."""
        return [
            live
            for live in map(self.machine, list(self.fleet.open()))
            if now_s - live.arrived_s > max(ALONE_S, self.fleet.served(live.machine).model.patience.hole_s)
        ]


def _picker(metrics: tuple[str, ...], wanted: tuple[str, ...]) -> Callable[[Values], Values]:
    """Return what brings values of `metrics`, with NaN after them, into the order of `wanted`."""
    places = [metrics.index(one) if one in metrics else len(metrics) for one in wanted]
    if len(places) == 1:
        return lambda values: (values[places[0]],)
    getter: Any = itemgetter(*places)
    return getter  # type: ignore[no-any-return]
