"""Which fault an episode is about, and which episodes are about none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from devices.factory import Fault
from enms.bench.factory_watch import Found

LATE: Final = timedelta(minutes=30)
"""A fault counts as found when an episode opens while it is there, or so soon after."""
RECOVERS: Final = timedelta(hours=3)
"""What opens so soon after a fault is an after-effect (heat that is left, pressure that comes back)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A fault, the first episode it led to if any, and the metrics it really moved, most first."""

    fault: Fault
    found: Found | None
    episodes: int
    moved: tuple[str, ...]

    @property
    def delay_min(self) -> float | None:
        """How long after the fault's start the episode was opened."""
        return None if self.found is None else (self.found.opened_s - self.fault.start.timestamp()) / 60.0

    @property
    def top_is_right(self) -> bool:
        """Whether the first contributor is a metric the fault moved."""
        return (
            self.found is not None
            and self.found.contributors[:1] != ()
            and (self.found.contributors[0] in self.moved)
        )

    @property
    def named(self) -> bool:
        """Whether the metric the fault moved most, or another it moved, is among the first three."""
        return self.found is not None and bool(set(self.found.contributors[:3]) & set(self.moved))


def judge(fault: Fault, episodes: Iterable[Found], moved: tuple[str, ...]) -> Judged:
    """Match a fault with the episodes of its machine that open while it is there."""
    mine = [one for one in episodes if one.machine == fault.machine and _within(fault, one, LATE)]
    first = min(mine, key=lambda one: one.opened_s, default=None)
    return Judged(fault, first, len(mine), moved)


def unrelated(episodes: Iterable[Found], faults: Sequence[Fault]) -> list[Found]:
    """Return the episodes that opened neither during a fault of their machine nor in its after-effects."""
    return [
        one
        for one in episodes
        if not any(fault.machine == one.machine and _within(fault, one, RECOVERS) for fault in faults)
    ]


def _within(fault: Fault, one: Found, after: timedelta) -> bool:
    if fault.end is None:
        return one.opened_s >= fault.start.timestamp()
    return fault.start.timestamp() <= one.opened_s <= (fault.end + after).timestamp()
