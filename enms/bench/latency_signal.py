"""What machines send while latency is measured: calm signals with jumps at known times."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from enms.bench.truth import Integers, Load

CALM_TICKS: Final = 10
"""Nothing jumps so long: windows have to have rows first."""
CYCLE_TICKS: Final = 90
"""A machine jumps once in so many ticks: the last jump has to be out of every window before the next."""
JUMP_TICKS: Final = 8
EVERY: Final = 2
"""One machine of so many jumps."""
_MIDDLE, _STEP, _NOISE, _JUMP = 20_000, 1_000, 400, 30_000


@dataclass(frozen=True, slots=True)
class Jumping(Load):
    """Steady metrics with a little noise; on every second machine the last metric jumps now and then.

    Tick 0 is the first that is sent. Machines jump one after the other, evenly spread over the cycle.
    """

    def hundredths(self, machines: Integers, ticks: Integers) -> Integers:
        """Return the readings times 100, one row a message; whole numbers from 20,000 to 70,399."""
        columns = np.arange(self.metrics, dtype=np.int64)
        seed = (machines * 1_000_003 + ticks)[:, None] * 64 + columns
        found = _MIDDLE + _STEP * (columns + machines[:, None] % 10) + _mixed(seed) % _NOISE
        found[:, -1] += np.where(self.jumps(machines, ticks), _JUMP, 0)
        return found

    def jumps(self, machines: Integers, ticks: Integers) -> NDArray[np.bool_]:
        """Return whether a machine's last metric is far off at a tick."""
        into = (ticks - CALM_TICKS - self._delay(machines)) % CYCLE_TICKS
        begun = ticks >= CALM_TICKS + self._delay(machines)
        return np.asarray((machines % EVERY == 0) & begun & (into < JUMP_TICKS))

    def begun(self, machine: int, seconds: int) -> list[int]:
        """Return the ticks at which a machine's jumps begin that are over within so many ticks."""
        if machine % EVERY:
            return []
        first = CALM_TICKS + int(self._delay(np.array([machine]))[0])
        return list(range(first, seconds - JUMP_TICKS + 1, CYCLE_TICKS))

    def _delay(self, machines: Integers) -> Integers:
        return machines * CYCLE_TICKS // self.machines


SIGNALS: Final[dict[str, type[Load]]] = {"uniform": Load, "jumping": Jumping}
"""What the load generator can send, by the name it is asked for."""


def _mixed(seed: Integers) -> Integers:
    """Scramble numbers (splitmix64) so that neighbours have nothing in common; not negative."""
    mixed = seed.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)
