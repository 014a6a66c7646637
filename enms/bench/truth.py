"""What the load generator sends, as a function of (machine, tick): the checker computes it again."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

METRICS: Final = (
    "power_kw",
    "current_a",
    "voltage_v",
    "temperature_c",
    "pressure_bar",
    "flow_m3h",
    "vibration_mm_s",
    "speed_rpm",
    "humidity_pct",
    "torque_nm",
    "gas_m3h",
    "frequency_hz",
)
SLICES: Final = 100
"""Into how many parts the machines of a tick are spread over the time between two ticks."""
MOST_MACHINES: Final = 99_999
MODULUS: Final = 1009
"""A prime: the tick's share in a checksum repeats only after so many ticks."""
_LEAST, _SPAN = 10_000, 90_000

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Load:
    """`machines` send one message of `metrics` readings a tick; ticks are `spacing_ms` apart.

    Message n is machine n % machines at tick n // machines. `base_ms` is a whole second since 1970.
    """

    machines: int
    metrics: int
    base_ms: int
    spacing_ms: int

    def __post_init__(self) -> None:
        """Refuse what the packets have no room for."""
        if not 1 <= self.machines <= MOST_MACHINES:
            raise ValueError(f"machines is 1 to {MOST_MACHINES}, not {self.machines}")
        if not 1 <= self.metrics <= len(METRICS):
            raise ValueError(f"metrics is 1 to {len(METRICS)}, not {self.metrics}")
        if self.base_ms % 1000:
            raise ValueError(f"base_ms must be a whole second, not {self.base_ms}")

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics, in the order of the payload."""
        return METRICS[: self.metrics]

    def name(self, machine: int) -> str:
        """Return a machine's name."""
        return f"bench-{machine:05d}"

    def offsets_ms(self, machines: Integers) -> Integers:
        """Return how long after its tick each machine sends, the same in every tick."""
        return machines * SLICES // self.machines * self.spacing_ms // SLICES

    def times_ms(self, machines: Integers, ticks: Integers) -> Integers:
        """Return when messages are from, in ms since 1970; no two of a machine are the same."""
        return self.base_ms + ticks * self.spacing_ms + self.offsets_ms(machines)

    def time_ms(self, message: int) -> int:
        """Return when message n is from, in ms since 1970."""
        machine, tick = np.array([message % self.machines]), np.array([message // self.machines])
        return int(self.times_ms(machine, tick)[0])

    def hundredths(self, machines: Integers, ticks: Integers) -> Integers:
        """Return the readings times 100, one row a message; whole numbers from 10,000 to 99,999."""
        columns = np.arange(self.metrics, dtype=np.int64)
        mixed = (machines * 7919 + ticks * 104_729)[:, None] + columns * 49_999
        return _LEAST + mixed % _SPAN

    def expected(self, messages: int) -> tuple[Integers, Integers]:
        """Return what a perfect gateway holds after that many messages.

        Readings of each machine (and metric: all have the same), and the checksums by machine and metric:
        the sum over the ticks of the reading times 100, times 1 + tick % MODULUS.
        """
        counts = np.full(self.machines, messages // self.machines, dtype=np.int64)
        counts[: messages % self.machines] += 1
        sums = np.zeros((self.machines, self.metrics), dtype=np.int64)
        everyone = np.arange(self.machines, dtype=np.int64)
        for tick in range(int(counts[0])):
            who = everyone[counts > tick]
            sums[who] += self.hundredths(who, np.full(len(who), tick, np.int64)) * (1 + tick % MODULUS)
        return counts, sums

    def total(self, messages: int) -> int:
        """Return the sum of all readings times 100 in so many messages."""
        numbers = np.arange(messages, dtype=np.int64)
        return int(self.hundredths(numbers % self.machines, numbers // self.machines).sum())
