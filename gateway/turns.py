"""Whose turn it is to be told, where there are more changes than may be told."""

import heapq
from datetime import UTC, datetime, timedelta
from typing import Final

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class Budget:
    """So many a second on average, and never more than one second's worth at once (but one at least)."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._most = self._left = max(1.0, per_s)
        self._at: datetime | None = None

    def refill(self, now: datetime) -> int:
        """Return how many may be told now."""
        if self._at is not None:
            passed_s = max(0.0, (now - self._at).total_seconds())
            self._left = min(self._most, self._left + passed_s * self._per_s)
        self._at = now
        return int(self._left)

    def spend(self, count: int) -> None:
        """Note that `count` were told."""
        self._left -= count


class Turns:
    """Names that have something to tell, those first that were told longest ago."""

    def __init__(self, every: timedelta) -> None:
        self._every = every
        self._told_at: dict[str, datetime] = {}
        self._queue: list[tuple[datetime, int, str]] = []
        self._queued: set[str] = set()
        self._came = 0
        self._now = _LONG_AGO

    def add(self, name: str) -> None:
        """Note that a name has something to tell; again before its turn it changes nothing."""
        if name in self._queued:
            return
        self._queued.add(name)
        self._came += 1  # among those never told the first stays first
        heapq.heappush(self._queue, (self._told_at.get(name, _LONG_AGO), self._came, name))

    def take(self, most: int, now: datetime) -> list[str]:
        """Return whose turn it is: at most so many, and none that was told less than `every` ago."""
        if now < self._now:  # our clock was set back: nobody waits until it has caught up
            self._told_at.clear()
            self._queue = [(_LONG_AGO, came, name) for _, came, name in self._queue]
            heapq.heapify(self._queue)
        self._now = now
        taken: list[str] = []
        while self._queue and len(taken) < most:
            told_at, _, name = self._queue[0]
            if told_at > now - self._every:
                break
            heapq.heappop(self._queue)
            self._queued.remove(name)
            self._told_at[name] = now
            taken.append(name)
        return taken
