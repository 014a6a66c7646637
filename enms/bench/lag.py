"""How long a reading takes from its sending to being visible in the database, seen from outside."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from enms.bench.truth import Load
from gateway.store.bulk import Bulk

SAMPLED: Final = 50
POLL_S: Final = 0.05
GROWING_S: Final = 0.25
"""A lag that is so much longer in the second half than in the first counts as growing."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Percentiles in ms over the messages looked at, and the median lag a second, by second of sending."""

    messages: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    by_second_ms: tuple[float, ...]

    @property
    def growing(self) -> bool:
        """Whether readings came later and later."""
        half = len(self.by_second_ms) // 2
        if not half:
            return False
        first, second = np.median(self.by_second_ms[:half]), np.median(self.by_second_ms[half:])
        return bool(second - first > GROWING_S * 1000)


@dataclass(slots=True)
class LagWatch:
    """Asks again and again which rows of some machines are new. Run it while the generator sends.

    Whatever becomes visible between two looks counts as seen at the second, so a lag is never too short.
    """

    bulk: Bulk
    seen: list[tuple[datetime, float]] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, load: Load) -> None:
        """Look until it is `enough`. Raises StoreUnavailableError where the database goes away."""
        step = max(1, load.machines // SAMPLED)
        names = [load.name(machine) for machine in range(0, load.machines, step)]
        start = datetime.fromtimestamp(load.base_ms / 1000 - 1, UTC)
        since: dict[int, datetime] = {}
        while not self.enough.is_set():
            looked = time.monotonic()
            if len(since) < len(names):
                for number in (await self.bulk.machine_ids(names)).values():
                    since.setdefault(number, start)
            found = await self.bulk.newer(since) if since else []
            now = time.time()
            for number, ts in found:
                since[number] = ts
                self.seen.append((ts, now))
            await asyncio.sleep(max(0.0, looked + POLL_S - time.monotonic()))

    def lag(self, load: Load, *, after_s: float = 0.0) -> Lag:
        """Sum up what was seen of the readings from `after_s` after the first tick on."""
        first = load.base_ms / 1000 + after_s
        sent = np.array([ts.timestamp() for ts, _ in self.seen])
        late_ms = (np.array([now for _, now in self.seen]) - sent) * 1000
        late_ms, sent = late_ms[sent >= first], sent[sent >= first]
        if not len(sent):
            return Lag(0, float("inf"), float("inf"), float("inf"), ())
        seconds = (sent - first).astype(int)
        medians = tuple(float(np.median(late_ms[seconds == one])) for one in np.unique(seconds))
        p50, p99, most = np.percentile(late_ms, [50, 99, 100]).round(1).tolist()
        return Lag(len(sent), p50, p99, most, medians)
