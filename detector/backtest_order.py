"""Back-tests that were ordered: history fetched, scored in a process of its own, answered in columns."""

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import numpy as np

from broker.channels import ANOMALY
from broker.commands import CommandError, Result
from broker.messages import encode
from broker.outbox import Outbox
from broker.topics import AnomalyTopic
from detector.backtest import Found, Serving, Span, lead_s, score
from detector.config import DetectorConfig
from detector.history import HistoryClient, NoHistoryError, TooManyRowsError
from detector.models import TooFewRowsError, WrongKindError, WrongModelError
from detector.rows import Rows
from detector.store import ModelStore, Stored
from detector.training import fit

ROWS_MOST: Final = 250_000
"""Scored in half a minute; more would keep who asked waiting for too long."""
LEARN_ROWS_MOST: Final = 20_000
SCORES_MOST: Final = 2000
WAITING_MOST: Final = 2
NICENESS: Final = 10


@dataclass(frozen=True, slots=True)
class DetectOrder:
    """A machine and a span; with `contamination` or `use_baseline` another model than the one that served."""

    machine: str
    start: datetime
    end: datetime
    contamination: float | None = None
    use_baseline: bool = False
    publish: bool = False


class BackTests:
    """One at a time, in a process that gives way to live scoring; `close` ends it."""

    def __init__(
        self, config: DetectorConfig, store: ModelStore, history: HistoryClient, outbox: Outbox
    ) -> None:
        self._config = config
        self._store = store
        self._history = history
        self._outbox = outbox
        self._pool: ProcessPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def run(self, order: DetectOrder) -> Result:
        """Carry the order out and return the answer as JSON can hold it. Raises CommandError."""
        if self._waiting >= WAITING_MOST:
            raise CommandError("busy", f"{self._waiting} back-tests are waiting already; try again later")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._run(order)
        except TooManyRowsError as error:
            raise CommandError("too_large", str(error)) from error
        except NoHistoryError as error:
            raise CommandError("unavailable", str(error)) from error
        except (TooFewRowsError, WrongKindError) as error:
            raise CommandError("bad_argument", str(error)) from error
        except WrongModelError as error:
            raise CommandError("unavailable", str(error)) from error
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End what is being scored."""
        if self._pool is not None:
            for process in multiprocessing.active_children():
                process.kill()
            self._pool.shutdown(cancel_futures=True)

    async def _run(self, order: DetectOrder) -> Result:
        machine = await self._history.machine(order.machine)
        if machine is None:
            raise CommandError("not_found", f"there is no machine {order.machine!a}")
        if order.contamination is None and not order.use_baseline:
            servings = await asyncio.to_thread(self._served, order)
            model = servings[0].model
            remembered = await asyncio.to_thread(self._store.memory, order.machine, model.metrics)
        else:
            serving, remembered = await self._learnt(order, tuple(sorted(machine.metrics)))
            servings, model = (serving,), serving.model
        since = order.start - timedelta(seconds=lead_s(model))
        rows = await self._history.raw(order.machine, model.metrics, since, order.end, most_rows=ROWS_MOST)
        start_s, end_s = order.start.timestamp(), order.end.timestamp()
        price = self._config.price_per_kwh
        span = Span(order.machine, machine.name, start_s, end_s, servings, rows, remembered, price)
        found = await self._score(span)
        if order.publish:
            await self._outbox.put_all(
                [(ANOMALY, AnomalyTopic(order.machine), encode(_now(event))) for event in found.events]
            )
        return answer(order, servings, found)

    async def _score(self, span: Span) -> Found:
        if self._pool is None:
            own = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, own, initializer=os.nice, initargs=(NICENESS,))
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, score, span, self._config.tuning
            )
        except BrokenProcessPool as error:
            self._pool = None
            raise CommandError("unavailable", "the process that scored it was killed; try again") from error

    def _served(self, order: DetectOrder) -> tuple[Serving, ...]:
        """Return the models that served in the span, oldest first, as far as they know the same metrics."""
        servings: list[Serving] = []
        before_s, start_s = order.end.timestamp(), order.start.timestamp()
        while not servings or servings[0].since_s > start_s:
            stored = self._store.load(order.machine, before_s)
            if stored is None or (servings and stored.model.metrics != servings[0].model.metrics):
                break
            servings.insert(0, _serving(stored))
            before_s = stored.from_s - 1e-3
        if not servings:
            stored = self._store.load(order.machine)
            if stored is None:
                text = f"{order.machine} has no model yet; give contamination to have one learnt for this"
                raise CommandError("not_found", text)
            servings = [
                Serving(stored.from_s, stored.model, stored.facts, stored.card.version, stored.refits)
            ]
        return tuple(servings)

    async def _learnt(self, order: DetectOrder, metrics: tuple[str, ...]) -> tuple[Serving, Rows]:
        """Return a model of the kind that was asked for, learnt from the time before the span, and that."""
        rows = await self._before(order, metrics)
        tuning, kind = self._config.tuning, "baseline"
        if order.contamination is not None:
            kind = "forest"
            tuning = replace(tuning, forest=replace(tuning.forest, contamination=order.contamination))
        learnt = await asyncio.to_thread(fit, rows, tuning, kind)
        return Serving(order.start.timestamp(), learnt.model, learnt.facts, "back-test"), learnt.used

    async def _before(self, order: DetectOrder, metrics: tuple[str, ...]) -> Rows:
        days = self._config.history_days
        while True:
            since = order.start - timedelta(days=days)
            try:
                return await self._history.raw(
                    order.machine, metrics, since, order.start, most_rows=LEARN_ROWS_MOST
                )
            except TooManyRowsError:
                days /= 2.0


def answer(order: DetectOrder, servings: tuple[Serving, ...], found: Found) -> Result:
    """Return the answer: the last event of each episode, and of each stretch of rows the highest score."""
    last = {event.anomaly_id: event for event in found.events}
    scored = np.isfinite(found.scores)
    picked = highest_of_each(found.scores)
    told: Result = msgspec.to_builtins(
        {
            "machine": order.machine,
            "start": order.start,
            "end": order.end,
            "models": [
                {
                    "kind": one.model.kind,
                    "version": f"{one.version}.{one.refits}" if one.refits else one.version,
                    "since": datetime.fromtimestamp(one.since_s, UTC),
                }
                for one in servings
            ],
            "rows": len(found.ts_s),
            "rows_scored": int(scored.sum()),
            "published": len(found.events) if order.publish else 0,
            "episodes": list(last.values()),
            "scores": {
                "ts": [datetime.fromtimestamp(ts_s, UTC) for ts_s in found.ts_s[picked].tolist()],
                "score": found.scores[picked].tolist(),
            },
        }
    )
    return told


def highest_of_each(scores: np.ndarray, most: int = SCORES_MOST) -> np.ndarray:
    """Return the places of the highest score in each of `most` stretches of the same length, none of NaN."""
    there = np.flatnonzero(np.isfinite(scores))
    if len(there) <= most:
        return there
    pieces = np.array_split(there, most)
    return np.array([piece[np.argmax(scores[piece])] for piece in pieces])


def _serving(stored: Stored) -> Serving:
    return Serving(stored.from_s, stored.model, stored.facts, stored.card.version, stored.refits)


def _now(event: msgspec.Struct) -> msgspec.Struct:
    return msgspec.structs.replace(event, published_at=datetime.now(UTC))
