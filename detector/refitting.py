"""Refits of machines in service, one at a time beside the event loop, for a fifth of the time at most."""

import asyncio
from collections import deque
from collections.abc import Iterable
from time import perf_counter
from typing import Final

import structlog

from detector.fleet import Fleet, relearn
from detector.lot import Served
from detector.memory import Refit
from detector.models import Model, WrongModelError
from detector.rows import Rows
from detector.store import ModelStore, refitted
from detector.tuning import Tuning

REST_S: Final = 0.005
REST_RATIO: Final = 4.0
"""After each piece of work it rests so many times as long: scoring shares the interpreter with it."""

log = structlog.get_logger()


class Refitter:
    """Makes what is due, in order; stores what has been adopted."""

    def __init__(self, store: ModelStore, fleet: Fleet, tuning: Tuning) -> None:
        self._store = store
        self._fleet = fleet
        self._tuning = tuning
        self._due: deque[tuple[Served, Refit]] = deque()
        self._adopted: deque[tuple[Served, float]] = deque()
        self._work = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many refits are due and not made."""
        return len(self._due)

    def add(self, due: Iterable[tuple[Served, Refit]], adopted: Iterable[tuple[Served, float]]) -> None:
        """Note what a tick led to. A machine has one refit under way at most, so this is bounded."""
        self._due.extend(due)
        self._adopted.extend(adopted)
        if self._due or self._adopted:
            self._work.set()

    async def run(self) -> None:
        """Work for ever."""
        while True:
            await self._work.wait()
            begun_s = perf_counter()
            if self._adopted:
                await self._keep(*self._adopted.popleft())
            elif self._due:
                await self._make(*self._due.popleft())
            else:
                self._work.clear()
            await asyncio.sleep(max(REST_S, REST_RATIO * (perf_counter() - begun_s)))

    async def _make(self, served: Served, refit: Refit) -> None:
        """Learn a model for the machine to adopt when its time has come."""
        model = await asyncio.to_thread(relearn, served, refit, self._tuning)
        if model is None:
            served.refit = None
            log.warning("not refitted", machine=served.machine, why="too few rows are remembered")
        elif served.refit is refit:
            served.refitted = model

    async def _keep(self, served: Served, from_s: float) -> None:
        """Store a refitted model that serves, with what is remembered."""
        place = self._fleet.place(served.machine)
        if place is None or place[0].served[place[1]] is not served:
            return
        rows = place[0].memory.rows(place[1])
        await asyncio.to_thread(self._save, served, served.model, served.refits, from_s, rows)

    def _save(self, served: Served, model: Model, refits: int, from_s: float, rows: Rows) -> None:
        try:
            stored = self._store.load(served.machine)
            if stored is not None and stored.card.version == served.version:
                self._store.save(refitted(stored, model, refits, from_s), rows)
        except (WrongModelError, OSError) as error:
            log.warning("a refitted model is not stored", machine=served.machine, why=str(error))
