"""When to train which machine, and doing it beside the event loop."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from broker.messages import ModelCard
from detector.config import DetectorConfig
from detector.fleet import Fleet, Start
from detector.history import HistoryClient, Past
from detector.live import MachineLive
from detector.models import TooFewRowsError, WrongKindError
from detector.models.choice import explained
from detector.rows import Rows
from detector.store import ModelStore, Stored
from detector.training import RETRAIN_UP_TO_ROWS, Job, Learnt, card, learn, learnable
from detector.windows import bridged

SETTLE_S: Final = 10.0
"""No training while a machine's past is still being delivered, or it would learn the first hours alone."""
LOOK_AGAIN_S: Final = 2.0
LOOK_AGAIN_MOST_S: Final = 120.0
"""History that has too few rows yet is asked again after this, twice as long each time, and then no more
until enough has been seen: what is stored may lag behind, and what came before we listened is not seen."""

log = structlog.get_logger()


class Trainer:
    """Trains one machine at a time; `tell_job` and `tell_card` publish how it stands."""

    def __init__(
        self,
        config: DetectorConfig,
        store: ModelStore,
        fleet: Fleet,
        history: HistoryClient,
        tell_job: Callable[[Job], None],
        tell_card: Callable[[ModelCard], None],
    ) -> None:
        self._config = config
        self._store = store
        self._fleet = fleet
        self._history = history
        self._tell_job = tell_job
        self._tell_card = tell_card

    def wanted_rows(self, live: MachineLive) -> int:
        """Return how many rows the next training waits for: enough, then twice as many each time."""
        return max(self._config.train_rows, 2 * live.trained_rows)

    def due(self, live: MachineLive, now: datetime) -> bool:
        """Whether to look at history: never done yet, enough has come since, or it may have lagged."""
        now_s = now.timestamp()
        if now_s - live.late_at_s < SETTLE_S:
            return False
        if live.known_rows is None:
            return True
        wanted = self.wanted_rows(live)
        if live.trained_rows and wanted > RETRAIN_UP_TO_ROWS:
            return False
        if live.known_rows + live.seen >= wanted:
            return True
        waiting = not live.trained_rows and live.look_wait_s < LOOK_AGAIN_MOST_S
        return waiting and now_s >= live.look_after_s

    async def look(self, live: MachineLive) -> None:
        """Ask history how much there is, and train when that is enough. Raises NoHistoryError."""
        now = datetime.now(UTC)
        past = await self._history.past(live.machine, now, self._config.history_days)
        rows = await asyncio.to_thread(past.rows)
        if self.counted(live, len(rows), now):
            await self._train(live, past, rows)

    def counted(self, live: MachineLive, rows: int, now: datetime) -> bool:
        """Note how many rows history has; returns whether that is enough to train."""
        wanted, believed = self.wanted_rows(live), (live.known_rows or 0) + live.seen
        live.known_rows = rows
        if rows >= wanted:
            live.seen, live.look_wait_s = 0, LOOK_AGAIN_S
            return True
        # Seen and not stored is still to come; but where that was believed already, history is right.
        live.seen = 0 if believed >= wanted else max(0, believed - rows)
        live.look_wait_s = LOOK_AGAIN_S if believed >= wanted else live.look_wait_s
        live.look_after_s = now.timestamp() + live.look_wait_s
        live.look_wait_s = min(2 * live.look_wait_s, LOOK_AGAIN_MOST_S)
        return False

    async def _train(self, live: MachineLive, past: Past, rows: Rows) -> None:
        live.trained_rows = max(live.trained_rows, len(rows))
        wanted = self._store.wanted(live.machine)
        job = self._told(Job.start(live.machine))
        try:
            job = self._told(job.at("choosing rows", 40.0))
            may = learnable(rows, past.episodes, self._config.train_rows, self._config.tuning)
            job = self._told(job.at("fitting", 50.0))
            learnt = await asyncio.to_thread(learn, may, self._config, wanted, past.announced)
            job = self._told(job.at("storing", 90.0))
            version, model = self._store.next_version(live.machine), learnt.model
            now = datetime.now(UTC)
            why = explained(model, wanted)
            made = card(live.machine, version, model, learnt.used, now, why)
            # It serves the rows measured after those there are: clocks of machines are not ours.
            from_s = max(float(rows.ts_s[-1]), live.ts_s, *(row.ts_s for row in live.recent))
            stored = Stored(model, learnt.facts, made, len(rows), from_s)
            await asyncio.to_thread(self._store.save, stored, learnt.used)
        except (TooFewRowsError, WrongKindError, OSError) as error:
            self._told(job.failed(str(error)))
            log.warning("training failed", machine=live.machine, why=str(error))
            return
        window = bridged(rows.of(model.metrics), live.recent, model.reach_s)
        self._fleet.serve(live.machine, _start(learnt, version, window, wanted))
        live.serve(model.metrics)
        self._tell_card(made)
        self._told(job.done(made.metrics))
        log.info("model trained", machine=live.machine, version=version, samples=model.samples)

    def _told(self, job: Job) -> Job:
        self._tell_job(job)
        return job


def _start(learnt: Learnt, version: str, window: Rows, wanted: str | None) -> Start:
    return Start(learnt.model, version, learnt.facts, window, learnt.used, wanted=wanted)
