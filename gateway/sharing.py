"""Which machines are whose when several workers take telemetry: a machine is one worker's, by its name."""

import re
import zlib
from dataclasses import dataclass
from typing import Final, Self

from broker.roles import MOST_WORKERS

_TEXT: Final = re.compile(r"([0-9]{1,2})/([0-9]{1,2})")


class BadShareError(ValueError):
    """Not a share of the work: write i/N, the first of three workers being 0/3."""


@dataclass(frozen=True, slots=True)
class Share:
    """Worker `index` of `count`. All of them count the same, or machines are kept twice or by nobody."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count <= MOST_WORKERS:
            msg = f"worker {self.index} of {self.count}: count from 0, below the number of workers; at most "
            raise BadShareError(f"{msg}{MOST_WORKERS} workers")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `i/N`. Raises BadShareError."""
        match = _TEXT.fullmatch(text)
        if match is None:
            msg = f"{text[:20]!a} is no share of the work: write i/N, the first of three workers being 0/3"
            raise BadShareError(msg)
        return cls(int(match[1]), int(match[2]))

    @property
    def first(self) -> bool:
        """Whether this worker also does what is done once: HTTP, log-ins, anomalies, rollups, upkeep."""
        return self.index == 0

    def owns(self, machine: str) -> bool:
        """Whether this worker keeps what the machine sends. The same on every computer, for ever."""
        return self.count == 1 or zlib.crc32(machine.encode()) % self.count == self.index

    def wants(self, topic: str) -> bool:
        """Whether a topic (relative to the root) speaks of a machine of this worker, or of none at all."""
        return self.count == 1 or self.owns(topic.split("/", 2)[1])
