"""After a restart: stored models serve again, with warm windows, and open episodes go on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Final

import numpy as np
import structlog

from broker.messages import ModelCard
from detector.fleet import Fleet, Start
from detector.history import HistoryClient, NoHistoryError
from detector.live import Live, MachineLive
from detector.lot import News
from detector.models import Model, WrongModelError
from detector.rows import Rows
from detector.store import ModelStore, Stored
from detector.verdict import Episode

LONG_REACH_S: Final = 300.0
"""A window that is shorter than this fills by itself sooner than ten thousand would be asked for."""
AT_ONCE: Final = 16
REPLAY_ROWS: Final = 50
"""So many rows are stepped again at most, so that rows in a row above the threshold count on."""
MARK_SLACK_S: Final = 1.0
ANSWER_S: Final = 30.0
"""After a start of everything the gateway may take so long to answer; rows wait in the broker meanwhile."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Back:
    """A machine that is to serve again; `episode` was open at the time beside it."""

    live: MachineLive
    stored: Stored
    remembered: Rows
    episode: tuple[Episode, float] | None

    @property
    def asks_history(self) -> bool:
        """Whether its windows are filled from history: where an episode goes on, or they reach far back."""
        return self.episode is not None or self.stored.model.reach_s > LONG_REACH_S


class Restart:
    """Brings back what the store has. Rows that were acknowledged come from history, the others once more."""

    def __init__(
        self,
        store: ModelStore,
        live: Live,
        history: HistoryClient,
        tell_card: Callable[[ModelCard], None],
    ) -> None:
        self._store = store
        self._live = live
        self._fleet: Fleet = live.fleet
        self._history = history
        self._tell_card = tell_card
        self._answered: asyncio.Task[bool] | None = None

    async def run(self, now: datetime) -> list[tuple[MachineLive, News]]:
        """Serve all stored models; return what came to light about their episodes while that was done.

        Without history they serve all the same, and their windows fill as rows come.
        """
        mark_s = self._store.mark()
        until = now if mark_s is None else min(now, datetime.fromtimestamp(mark_s - MARK_SLACK_S, UTC))
        limit = asyncio.Semaphore(AT_ONCE)
        found: list[tuple[MachineLive, News]] = []

        async def bring(machine: str) -> None:
            async with limit:
                found.extend(await self._bring(machine, until))

        async with asyncio.TaskGroup() as group:
            for machine in self._store.machines():
                group.create_task(bring(machine), name=f"restart {machine}")
        if len(self._fleet):
            log.info("models loaded", machines=len(self._fleet))
        return found

    async def _bring(self, machine: str, until: datetime) -> list[tuple[MachineLive, News]]:
        live = self._live.machine(machine)
        try:
            read = await asyncio.to_thread(self._read, machine)
        except WrongModelError as error:
            log.warning("a stored model cannot be used", machine=machine, why=str(error))
            return []
        if read is None:
            return []
        back = _Back(live, *read, self._store.episode(machine))
        rows = await self._window(back, until) if back.asks_history else _nothing(back.stored.model)
        return self._serve(back, rows)

    def _read(self, machine: str) -> tuple[Stored, Rows] | None:
        stored = self._store.load(machine)
        return None if stored is None else (stored, self._store.memory(machine, stored.model.metrics))

    async def _window(self, back: _Back, until: datetime) -> Rows:
        """Return what history has of the time a window reaches back to, and of that since the episode."""
        model = back.stored.model
        end_s = until.timestamp()
        replay_s = max(model.patience.least_s, REPLAY_ROWS * model.period_s)
        start_s = end_s - model.reach_s - replay_s
        if back.episode is not None:
            start_s = min(start_s, back.episode[1] - model.reach_s)
        if self._answered is None:
            self._answered = asyncio.create_task(self._answers(), name="restart history")
        if not await self._answered:
            return _nothing(model)
        try:
            start = datetime.fromtimestamp(start_s, UTC)
            rows = await self._history.window(back.live.machine, model.metrics, start, until)
            return rows.where((rows.ts_s >= start_s) & (rows.ts_s <= end_s))
        except NoHistoryError as error:
            log.warning("a window stays empty", machine=back.live.machine, why=str(error))
            return _nothing(model)

    async def _answers(self) -> bool:
        """Wait until the gateway answers; whether it does."""
        until_s = perf_counter() + ANSWER_S
        while True:
            try:
                await self._history.machines()
            except NoHistoryError as error:
                if perf_counter() > until_s:
                    log.warning("windows stay empty", why=str(error))
                    return False
                await asyncio.sleep(0.5)
            else:
                return True

    def _serve(self, back: _Back, rows: Rows) -> list[tuple[MachineLive, News]]:
        """Serve the machine with its older rows in the window; step its verdict through the later ones."""
        stored, machine = back.stored, back.live.machine
        model = stored.model
        if back.episode is not None:
            later = rows.ts_s > back.episode[1]
        else:
            later = np.arange(len(rows)) >= len(rows) - REPLAY_ROWS
        start = Start(
            model,
            stored.card.version,
            stored.facts,
            rows.where(~later),
            back.remembered,
            back.episode,
            stored.refits,
            self._store.wanted(machine),
        )
        self._fleet.serve(machine, start)
        back.live.serve(model.metrics)
        back.live.trained_rows = stored.trained_rows
        back.live.known_rows = stored.trained_rows
        self._tell_card(stored.card)
        again = rows.where(later)
        pushed = [(machine, float(ts_s), row) for ts_s, row in zip(again.ts_s, again.values, strict=True)]
        told = [(back.live, news) for _, _, news in self._fleet.push(pushed) if news is not None]
        # Where no episode was open, what opened and closed again in these rows was told already.
        return told if back.episode is not None else told[-1:] if self._fleet.is_open(machine) else []


def _nothing(model: Model) -> Rows:
    return Rows(model.metrics, np.empty(0), np.empty((0, len(model.metrics))))
