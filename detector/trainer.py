"""When to train which machine, and doing it beside the event loop."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import numpy as np
import structlog

from broker.messages import ModelCard
from detector.config import DetectorConfig
from detector.history import HistoryClient, Past
from detector.live import MachineLive, install
from detector.models import TooFewRowsError, WrongModelError, learn_best
from detector.rows import Rows
from detector.store import ModelStore, Stored
from detector.tracker import Tracker
from detector.training import RETRAIN_UP_TO_ROWS, Job, card, learn, learnable
from detector.windows import LiveRow

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
        history: HistoryClient,
        tell_job: Callable[[Job], None],
        tell_card: Callable[[ModelCard], None],
    ) -> None:
        self._config = config
        self._store = store
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
        """Load a stored model at first, and train when there is enough history. Raises NoHistoryError."""
        first, now = live.known_rows is None, datetime.now(UTC)
        past = await self._history.past(live.machine, now, self._config.history_days)
        rows = await asyncio.to_thread(past.rows)
        enough = self.counted(live, len(rows), now)
        if first and await self._load(live, past, rows):
            return
        if enough:
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

    async def refit(self, live: MachineLive, rows: Rows) -> None:
        """Refit the model in service on what it remembers; what cannot be learnt from changes nothing."""
        tracker = live.tracker
        if tracker is None:
            return
        try:
            model = await asyncio.to_thread(learn_best, rows, self._config.tuning)
        except TooFewRowsError as error:
            log.warning("not refitted", machine=live.machine, why=str(error))
        else:
            if live.tracker is tracker:
                tracker.adopt(model)
        finally:
            live.refitting = False

    async def _load(self, live: MachineLive, past: Past, rows: Rows) -> bool:
        try:
            stored = self._store.load(live.machine)
        except WrongModelError as error:
            log.warning("a stored model cannot be used", machine=live.machine, why=str(error))
            return False
        if stored is None:
            return False
        may = learnable(rows, past.episodes, self._config.train_rows, self._config.tuning)
        tracker = Tracker.start(live.machine, stored.model, stored.card.version, may, self._config.tuning)
        tracker.resume(self._store.episode(live.machine))
        install(live, tracker, _left_out(rows, tracker))
        live.trained_rows = stored.trained_rows
        self._tell_card(stored.card)
        log.info("model loaded", machine=live.machine, version=stored.card.version)
        return True

    async def _train(self, live: MachineLive, past: Past, rows: Rows) -> None:
        live.trained_rows = max(live.trained_rows, len(rows))
        job = self._told(Job.start(live.machine))
        try:
            job = self._told(job.at("choosing rows", 40.0))
            may = learnable(rows, past.episodes, self._config.train_rows, self._config.tuning)
            job = self._told(job.at("fitting", 50.0))
            model, used = await asyncio.to_thread(learn, may, self._config)
            job = self._told(job.at("storing", 90.0))
            version = self._store.next_version(live.machine)
            made = card(live.machine, version, model, used, datetime.now(UTC))
            await asyncio.to_thread(self._store.save, Stored(model, made, len(rows)))
        except (TooFewRowsError, OSError) as error:
            self._told(job.failed(str(error)))
            log.warning("training failed", machine=live.machine, why=str(error))
            return
        tracker = Tracker.start(live.machine, model, version, used, self._config.tuning)
        install(live, tracker, _left_out(rows, tracker))
        self._tell_card(made)
        self._told(job.done(made.metrics))
        log.info("model trained", machine=live.machine, version=version, samples=model.samples)

    def _told(self, job: Job) -> Job:
        self._tell_job(job)
        return job


def _left_out(rows: Rows, tracker: Tracker) -> list[LiveRow]:
    """Return the most recent rows, which were not learnt from, as live rows: at least a window of them."""
    if not len(rows):
        return []
    since_s = rows.ts_s[-1] - tracker.tuning.left_out_windows * tracker.model.span_s
    last = rows.where(rows.ts_s > since_s)
    return [
        LiveRow(
            float(ts_s), {m: float(v) for m, v in zip(last.metrics, values, strict=True) if np.isfinite(v)}
        )
        for ts_s, values in zip(last.ts_s, last.values, strict=True)
    ]
