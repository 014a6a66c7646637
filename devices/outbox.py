"""What waits to be sent while the broker is away: the newest hour, no more."""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from devices.factory import Row

Tick = Mapping[str, Row]
"""One row of every machine."""

ROWS_A_MESSAGE: Final = 60


class Outbox:
    """A bounded queue of ticks; when it is full the oldest falls out and is counted in `dropped`."""

    def __init__(self, most_ticks: int) -> None:
        self._ticks: deque[Tick] = deque()
        self._most = most_ticks
        self._some = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._ticks)

    def put(self, tick: Tick) -> None:
        """Add the newest tick."""
        if len(self._ticks) >= self._most:
            self._ticks.popleft()
            self.dropped += 1
        self._ticks.append(tick)
        self._some.set()

    async def take(self, most: int = ROWS_A_MESSAGE) -> list[Tick]:
        """Wait for a tick and return the oldest ones, at most `most`."""
        await self._some.wait()
        taken = [self._ticks.popleft() for _ in range(min(most, len(self._ticks)))]
        if not self._ticks:
            self._some.clear()
        return taken


def messages(ticks: list[Tick]) -> Iterator[tuple[str, object]]:
    """Return one message a machine: its row, or the list of its rows, oldest first, where there are more."""
    for machine in ticks[0]:
        rows = [tick[machine].body() for tick in ticks]
        yield machine, rows[0] if len(rows) == 1 else rows
