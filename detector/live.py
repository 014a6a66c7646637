"""Live rows of all machines: parsed, joined, scored; what is to be told is handed back."""

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from broker import telemetry
from detector.tracker import Looked, Tracker
from detector.windows import LATE_S, Joiner, LiveRow

AHEAD_S: Final = 300.0
"""A row this far ahead of its arrival is not scored: one of them would make all that follow late."""
EXPECTED_EVERY_S: Final = 1.0
BRIDGE_ROWS: Final = 400
ALONE_S: Final = 60.0


@dataclass(slots=True)
class MachineLive:
    """One machine as the detector sees it. `seen` counts rows that history did not have when last asked."""

    machine: str
    name: str
    joiner: Joiner = field(default_factory=Joiner)
    tracker: Tracker | None = None
    said: dict[str, str] = field(default_factory=dict)
    recent: deque[LiveRow] = field(default_factory=lambda: deque(maxlen=BRIDGE_ROWS))
    arrived_s: float = 0.0
    expected_told_s: float = 0.0
    seen: int = 0
    late_at_s: float = 0.0
    look_after_s: float = 0.0
    look_wait_s: float = 2.0
    known_rows: int | None = None
    trained_rows: int = 0
    not_scored: int = 0
    refitting: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A scored row of a machine; `expected_due` says that what is expected shall be told with it."""

    live: MachineLive
    looked: Looked
    expected_due: bool


class Live:
    """The table of machines. Everything here is synchronous and quick."""

    def __init__(self) -> None:
        self.machines: dict[str, MachineLive] = {}

    def machine(self, machine: str) -> MachineLive:
        """Return the entry of a machine, made when it is new."""
        return self.machines.setdefault(machine, MachineLive(machine, machine))

    def take(self, topic: str, payload: bytes, arrived: datetime) -> list[Outcome]:
        """Take one message of telemetry; what cannot be read is the gateway's to refuse."""
        parsed = telemetry.read(topic, payload, arrived)
        if not parsed.rows and not parsed.states:
            return []
        live = self.machine(parsed.machine)
        for state in parsed.states:
            live.said[state.field] = state.text
        by_time: dict[float, dict[str, float]] = defaultdict(dict)
        for row in parsed.rows:
            by_time[row.ts.timestamp()].update(zip(row.metrics, row.values, strict=True))
        outcomes: list[Outcome] = []
        for ts_s in sorted(by_time):
            outcomes += self._take_row(live, ts_s, by_time[ts_s], arrived.timestamp())
        return outcomes

    def _take_row(
        self, live: MachineLive, ts_s: float, readings: Mapping[str, float], arrived_s: float
    ) -> list[Outcome]:
        live.seen += 1
        live.arrived_s = max(live.arrived_s, arrived_s)
        if not arrived_s - LATE_S <= ts_s <= arrived_s + AHEAD_S:
            live.not_scored += 1
            live.late_at_s = arrived_s
            return []
        outcomes = []
        for row in live.joiner.take(ts_s, readings):
            live.recent.append(row)
            if live.tracker is None:
                continue
            live.tracker.said = live.said
            due = arrived_s - live.expected_told_s >= EXPECTED_EVERY_S
            looked = live.tracker.take(row, explain=due)
            if due:
                live.expected_told_s = arrived_s
            outcomes.append(Outcome(live, looked, due))
        return outcomes

    def silent(self, now_s: float) -> list[MachineLive]:
        """Return the machines with an open episode whose data stopped arriving long ago."""
        return [
            live
            for live in self.machines.values()
            if live.tracker is not None
            and live.tracker.open
            and now_s - live.arrived_s > max(ALONE_S, live.tracker.model.patience.hole_s)
        ]


def install(live: MachineLive, tracker: Tracker, history: list[LiveRow]) -> None:
    """Put a newly trained tracker in service, its window filled from history and what came meanwhile.

    An episode that is open goes on.
    """
    if live.tracker is not None:
        tracker.go_on_from(live.tracker)
    first_s = live.recent[0].ts_s if live.recent else float("inf")
    for row in [*(row for row in history if row.ts_s < first_s), *live.recent]:
        tracker.warm(row)
    live.tracker = tracker
