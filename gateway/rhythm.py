"""Messages a machine must have sent and that never came, seen by the rhythm of those that did.

A machine whose messages follow each other at a steady period shows a loss by a step of about two periods
or more. What is no loss: messages that come late, lists, a machine that said it was off, a pause beyond an
hour (and twenty periods), a new period (what it seemed to miss is taken back at its third message).
"""

from dataclasses import dataclass
from typing import Final

BURST_S: Final = 0.01
"""Messages closer than this are one sending, split over topics."""
STEADY_STEPS: Final = 9
"""Ten messages in step make a rhythm."""
HOLE_PERIODS: Final = 1.8
UNTIMED_HOLE_PERIODS: Final = 3.0
"""Where the time of arrival stands for the device's: the way here adds its own delays."""
PAUSE_S: Final = 3600.0
PAUSE_PERIODS: Final = 20
NEW_PERIOD_STEPS: Final = 3

_TOLERANCE: Final = 0.3
_HELD_UP: Final = 0.5
_MEMORY_STEPS: Final = 10
_MOST_STEADY: Final = 20
_OFF_BEAT: Final = 3  # what a step out of rhythm takes from the steadiness


@dataclass(slots=True)
class Rhythm:
    """The beat of one machine's messages. Times are seconds of one clock: the device's, or our own."""

    missed: int = 0
    _newest_s: float | None = None
    _timed: bool = True
    _beat_s: float = 0.0
    _steady: int = 0
    _open: int = 0  # of the last hole: what may still arrive late, where there are no device times
    _long_steps: int = 0
    _long_step_s: float = 0.0
    _long_missed: int = 0

    def heard(self, at_s: float, arrived_s: float, *, timed: bool) -> None:
        """Note a message of the time `at_s`, which is the device's own where it is `timed`."""
        newest_s = self._newest_s
        if newest_s is None or timed is not self._timed:
            self._begin(at_s, timed=timed)
            return
        step_s, beat_s = at_s - newest_s, self._beat_s
        if self._open and step_s < _HELD_UP * beat_s:
            # It was only held up on its way.
            self._open -= 1
            self.missed -= 1
            self._newest_s = max(at_s, newest_s)
            return
        if step_s <= BURST_S:
            if step_s < 0 and newest_s > arrived_s:
                # What was newest lay in the future: the clock was set back, or it was one wrong time.
                self._begin(at_s, timed=timed)
            return
        self._newest_s = at_s
        if abs(step_s - beat_s) <= _TOLERANCE * beat_s:
            self._steady = min(self._steady + 1, _MOST_STEADY)
            self._beat_s += (step_s - beat_s) / min(self._steady, _MEMORY_STEPS)
            self._open = self._long_steps = 0
        elif (
            self._steady >= STEADY_STEPS
            and step_s >= (HOLE_PERIODS if timed else UNTIMED_HOLE_PERIODS) * beat_s
        ):
            self._hole(step_s)
        elif self._steady > _OFF_BEAT:
            self._steady -= _OFF_BEAT
        else:
            self._steady, self._beat_s = 1, step_s

    def skip(self, at_s: float, *, timed: bool) -> None:
        """Note a message that says nothing of the rhythm; what follows is measured from it."""
        if self._newest_s is None or timed is not self._timed:
            self._begin(at_s, timed=timed)
        else:
            self._newest_s = max(at_s, self._newest_s)

    def _begin(self, at_s: float, *, timed: bool) -> None:
        self._newest_s, self._timed = at_s, timed
        self._beat_s, self._steady, self._open, self._long_steps = 0.0, 0, 0, 0

    def _hole(self, step_s: float) -> None:
        if step_s > max(PAUSE_S, PAUSE_PERIODS * self._beat_s):
            return
        if not self._long_steps or abs(step_s - self._long_step_s) > _TOLERANCE * self._beat_s:
            self._long_steps, self._long_step_s, self._long_missed = 0, step_s, 0
        missed = round(step_s / self._beat_s) - 1
        self.missed += missed
        self._long_steps += 1
        self._long_missed += missed
        self._open = 0 if self._timed else missed
        if self._long_steps >= NEW_PERIOD_STEPS:
            self.missed -= self._long_missed
            self._beat_s, self._steady, self._open, self._long_steps = step_s, 1, 0, 0
