"""Which events belong to which jump, and how long they took."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from broker.messages import Anomaly
from enms.bench.latency_signal import JUMP_TICKS, Jumping

EARLY_TICKS: Final = 0.5
LATE_TICKS: Final = 3
"""An episode that begins so long after its jump has ended is not the jump's."""


@dataclass(frozen=True, slots=True)
class Received:
    """An event, and when a client had it."""

    event: Anomaly
    received_s: float

    @property
    def whole_ms(self) -> float:
        """From the time of the row that opened it, which is when it was due to be sent."""
        return (self.received_s - self.event.ts.timestamp()) * 1000

    @property
    def published_ms(self) -> float:
        """From that row's time until the detector had made the event."""
        return (self.event.published_at - self.event.ts).total_seconds() * 1000

    @property
    def way_ms(self) -> float:
        """From there, through the outbox and the broker, to the client."""
        return (self.received_s - self.event.published_at.timestamp()) * 1000


@dataclass(frozen=True, slots=True)
class Matched:
    """The first opening of each jump, how many jumps had none, and the openings that no jump explains."""

    found: tuple[Received, ...]
    missed: int
    unasked: int


def match(load: Jumping, seconds: int, heard: Iterable[Received]) -> Matched:
    """Match openings with the jumps that a load of so many seconds had; one it cut off need have none."""
    opened = [one for one in heard if one.event.phase == "opened"]
    by_machine: dict[str, list[Received]] = {}
    for one in sorted(opened, key=lambda one: one.received_s):
        by_machine.setdefault(one.event.machine, []).append(one)
    found: list[Received] = []
    missed = cut_off = 0
    for machine in range(load.machines):
        mine = by_machine.get(load.name(machine), [])
        for tick in load.begun(machine, seconds):
            first = next((one for one in mine if _during(load, machine, tick, one)), None)
            if first is None:
                missed += 1
            else:
                found.append(first)
        unfinished = set(load.begun(machine, seconds + JUMP_TICKS)) - set(load.begun(machine, seconds))
        cut_off += sum(_during(load, machine, tick, one) for tick in unfinished for one in mine)
    return Matched(tuple(found), missed, len(opened) - len(found) - cut_off)


def percentiles(figures: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99; infinite where there is nothing."""
    if not figures:
        return (float("inf"),) * 3
    p50, p95, p99 = np.percentile(np.array(figures), [50, 95, 99]).tolist()
    return p50, p95, p99


def _during(load: Jumping, machine: int, tick: int, one: Received) -> bool:
    began_ms = load.time_ms(tick * load.machines + machine)
    into = (one.event.started_at.timestamp() * 1000 - began_ms) / load.spacing_ms
    return -EARLY_TICKS <= into <= JUMP_TICKS + LATE_TICKS
