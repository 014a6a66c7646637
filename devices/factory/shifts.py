"""When the plant works: shift patterns as tables by minute of the week (UTC, Monday first)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

MINUTES_A_DAY: Final = 24 * 60
MINUTES_A_WEEK: Final = 7 * MINUTES_A_DAY
_FRIDAY: Final = 4
# 1970-01-01 was a Thursday.
_EPOCH_MINUTE: Final = 3 * MINUTES_A_DAY


class Phase(IntEnum):
    """What the calendar wants of a machine."""

    CLOSED = 0
    BREAK = 1
    WORK = 2


@dataclass(frozen=True, slots=True)
class Calendar:
    """A week of minutes: the phase, and the minutes since the plant last opened (0 while closed)."""

    phase: NDArray[np.int8]
    open_for_min: NDArray[np.int64]


def _week(*opening: tuple[int, int], breaks: tuple[tuple[int, int], ...]) -> Calendar:
    """Build a calendar from spans [first, last) in minutes of the week and breaks in minutes of the day."""
    phase = np.zeros(MINUTES_A_WEEK, dtype=np.int8)
    since = np.zeros(MINUTES_A_WEEK, dtype=np.int64)
    for first, last in opening:
        phase[first:last] = Phase.WORK
        since[first:last] = np.arange(last - first)
    day_minute = np.arange(MINUTES_A_WEEK) % MINUTES_A_DAY
    for first, last in breaks:
        resting = (phase == Phase.WORK) & (day_minute >= first) & (day_minute < last)
        phase[resting] = Phase.BREAK
    return Calendar(phase, since)


def _at(day: int, hour: int) -> int:
    return day * MINUTES_A_DAY + hour * 60


_MEALS = ((10 * 60, 10 * 60 + 30), (18 * 60, 18 * 60 + 30), (2 * 60, 2 * 60 + 30))

PATTERNS: Final = {
    "continuous": _week((0, MINUTES_A_WEEK), breaks=_MEALS),
    "two_shifts": _week(*((_at(day, 6), _at(day, 22)) for day in range(_FRIDAY + 1)), breaks=_MEALS),
    "three_shifts": _week((_at(0, 6), _at(_FRIDAY + 1, 6)), breaks=_MEALS),
}
"""Continuous: day and night, all week. Two shifts: weekdays 06 to 22. Three shifts: Monday 06 to Saturday 06.
Meals of half an hour."""


class Shifts:
    """The calendar of many machines, each following its pattern a few minutes late."""

    def __init__(self, patterns: list[str], delays_min: NDArray[np.float64]) -> None:
        names = list(PATTERNS)
        self._phase = np.stack([calendar.phase for calendar in PATTERNS.values()])
        self._since = np.stack([calendar.open_for_min for calendar in PATTERNS.values()])
        self._pattern = np.array([names.index(pattern) for pattern in patterns])
        self._delay_s = np.round(delays_min * 60.0)

    def at(self, at_s: float) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Return for each machine its phase and for how many seconds the plant has been open."""
        own_s = at_s - self._delay_s
        minute, second = np.divmod(own_s, 60.0)
        index = (minute.astype(np.int64) + _EPOCH_MINUTE) % MINUTES_A_WEEK
        phase = self._phase[self._pattern, index]
        open_for_s = self._since[self._pattern, index] * 60.0 + second
        return phase, np.where(phase == Phase.CLOSED, 0.0, open_for_s)
