"""The detector as a process: live rows scored as they come, training and refits beside it."""

import asyncio
import gc
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog

from broker.bus import Bus
from broker.channels import MACHINE, METRIC, MODEL, TELEMETRY, TRAINING
from broker.intake import Intake
from broker.messages import BadMessageError, ModelCard
from broker.outbox import Outbox, WhenFull
from broker.outbox_file import Limits
from broker.sender import OutboxSender
from broker.stream import Stream
from broker.topics import BadTopicError, ModelTopic, TrainingTopic
from detector.backtest_order import BackTests
from detector.commands import DetectorCommands
from detector.config import DetectorConfig, Tuning
from detector.fleet import Fleet
from detector.history import HistoryClient, NoHistoryError
from detector.live import Live, Outcome
from detector.pace import Pace
from detector.refitting import Refitter
from detector.restart import Restart
from detector.store import ModelStore
from detector.telling import Telling
from detector.trainer import Trainer
from detector.training import MODEL as MODEL_NAME
from detector.training import Job

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["DetectorConfig", "Tuning", "run"]

KEPT = Limits(rows=100_000, size_bytes=256 * 1024 * 1024)
"""Events kept until they are stored. When even these are full the oldest go: to stop detecting is worse."""
SILENCE_LOOK_S: Final = 5.0
EXPECTED_LOOK_S: Final = 0.1
SCORING_EVERY_S: Final = 1.0
MARK_EVERY_S: Final = 1.0
GC_THRESHOLD: Final = 50_000

log = structlog.get_logger()


async def run(config: DetectorConfig) -> None:
    """Run until cancelled. Anything that breaks brings the process down, with its reason."""
    bus = Bus(config.bus, "detector", config.password, service="detector", version=config.version)
    intake = Intake(config.bus, "detector-live", config.live_password, TELEMETRY, METRIC)
    machines = bus.subscribe(MACHINE)
    history = HistoryClient(config.api_url, config.api_token)
    kept = Outbox(config.outbox, WhenFull.DROP_OLDEST, KEPT)
    sender = OutboxSender(bus, kept)
    service = _Service(config, bus, kept, history)
    try:
        async with kept, bus, intake, asyncio.TaskGroup() as group:
            tasks: dict[str, Coroutine[Any, Any, None]] = {
                "names": service.follow_names(machines),
                "rows": service.follow_rows(intake),
                "silence": service.watch_silence(),
                "mark": service.mark_what_is_done(),
                "training": service.train_for_ever(),
                "refits": service.refitter.run(),
                "expected": service.tell_expected(),
                "scoring": service.tell_scoring(),
                "commands": service.commands.run(),
                "events": sender.run(),
            }
            for name, task in tasks.items():
                group.create_task(task, name=f"detector {name}")
    finally:
        service.back_tests.close()
        await history.close()


def _spare_the_collector() -> None:
    """Leave what models are made of out of the search for circles, and search seldom.

    With ten thousand models one search through everything holds scoring up for seconds.
    """
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 50, 50)


class _Service:
    """Wires the live table, the trainer and the bus."""

    def __init__(self, config: DetectorConfig, bus: Bus, outbox: Outbox, history: HistoryClient) -> None:
        self._config = config
        self._bus = bus
        self._history = history
        self._fleet = Fleet(config.tuning, config.price_per_kwh, refit_at_once=False)
        self._live = Live(self._fleet)
        self._store = ModelStore(config.store)
        self._telling = Telling(bus, outbox, self._live, self._store)
        self._trainer = Trainer(config, self._store, self._fleet, history, self._tell_job, self._tell_card)
        self.refitter = Refitter(self._store, self._fleet, config.tuning)
        self._fleet.maintained |= self._store.maintained()
        self.back_tests = BackTests(config, self._store, history, outbox)
        self.commands = DetectorCommands(bus, self._live, self._telling, self._store, self.back_tests)
        self._back = asyncio.Event()
        self._pace = Pace()
        self._waits_since_s: float | None = None
        self._acknowledged_s = 0.0

    async def follow_names(self, stream: Stream) -> None:
        """Learn the machines and their display names from what the gateway keeps."""
        async for delivery in stream:
            if not delivery.payload:
                continue
            with suppress(BadTopicError, BadMessageError):
                where, machine = delivery.read(MACHINE)
                self._live.machine(where.machine).name = machine.name

    async def follow_rows(self, intake: Intake) -> None:
        """Serve again what was served before, then score what arrives.

        Messages are acknowledged when what follows from them is in the outbox. Those that came while the
        detector was away wait in its session, and are scored like any other.
        """
        restart = Restart(self._store, self._live, self._history, self._tell_card)
        await self._telling.tell(await restart.run(datetime.now(UTC)))
        _spare_the_collector()
        self._back.set()
        while True:
            batch = await intake.batch(self._pace.most, self._pace.wait_s)
            arrived_s = batch.messages[0].arrived.timestamp()
            self._waits_since_s = arrived_s
            for one in batch.messages:
                self._live.take(one.topic, one.payload, one.arrived)
            outcome = self._live.score()
            self._note(outcome, datetime.now(UTC).timestamp())
            await self._tell(outcome)
            intake.ack(batch)
            self._waits_since_s = None
            self._acknowledged_s = batch.messages[-1].arrived.timestamp()
            self._pace.took(len(batch.messages), datetime.now(UTC).timestamp())

    async def mark_what_is_done(self) -> None:
        """Remember up to when everything was scored and told; a busy disk must not hold up scoring."""
        marked_s = 0.0
        try:
            while True:
                await asyncio.sleep(MARK_EVERY_S)
                if self._acknowledged_s > marked_s:
                    marked_s = self._acknowledged_s
                    await asyncio.to_thread(self._store.keep_mark, marked_s)
        finally:
            if self._acknowledged_s > marked_s:
                self._store.keep_mark(self._acknowledged_s)

    async def watch_silence(self) -> None:
        """Close episodes of machines whose data stopped."""
        await self._back.wait()
        while True:
            await asyncio.sleep(SILENCE_LOOK_S)
            silent = self._live.silent(datetime.now(UTC).timestamp())
            closed = [(live, self._fleet.vanish(live.machine)) for live in silent]
            await self._telling.tell([(live, news) for live, news in closed if news is not None])

    async def train_for_ever(self) -> None:
        """Train whatever has enough new history; tell how it stands."""
        await self._back.wait()
        while True:
            try:
                for found in await self._history.machines():
                    self._live.machine(found.machine).name = found.name
                for live in list(self._live.machines.values()):
                    if self._trainer.due(live, datetime.now(UTC)):
                        await self._trainer.look(live)
            except NoHistoryError as error:
                self._say_state("degraded", str(error))
            else:
                self._say_state("ok", "ok")
            await asyncio.sleep(self._config.look_every_s)

    async def tell_expected(self) -> None:
        """Tell what is expected of each machine, as often as there is time for it."""
        while True:
            await asyncio.sleep(EXPECTED_LOOK_S)
            self._telling.expect(datetime.now(UTC).timestamp())

    async def tell_scoring(self) -> None:
        """Tell how scoring keeps up."""
        while True:
            await asyncio.sleep(SCORING_EVERY_S)
            now = datetime.now(UTC)
            since_s = self._waits_since_s
            oldest_ms = 0.0 if since_s is None else 1000.0 * max(0.0, now.timestamp() - since_s)
            self._telling.keep_scoring(now, oldest_ms=oldest_ms, waiting=self.refitter.waiting)

    async def _tell(self, outcome: Outcome) -> None:
        if outcome.news:
            scored = datetime.now(UTC)
            await self._telling.tell(outcome.news)
            now = datetime.now(UTC)
            self._telling.hops.note("scored_kept", [_ms(now - scored)], now.timestamp())

    def _note(self, outcome: Outcome, scored_s: float) -> None:
        """Note what a tick led to that ended at `scored_s`."""
        self._telling.rows += outcome.rows
        self._telling.refits += len(outcome.adopted)
        self.refitter.add(outcome.due, outcome.adopted)
        measured, arrived = np.array(outcome.newest_s), np.array(outcome.arrived_s)
        for hop, took_s in (
            ("measured_arrived", arrived - measured),
            ("arrived_scored", scored_s - arrived),
            ("measured_scored", scored_s - measured),
        ):
            self._telling.hops.note(hop, 1000.0 * took_s, scored_s)

    def _say_state(self, state: Any, gateway: str) -> None:
        if self._bus.dependencies.get("gateway") != gateway:
            log.info("the detector's state changed", state=state, gateway=gateway)
            self._bus.set_state(state, {"gateway": gateway})

    def _tell_job(self, job: Job) -> None:
        self._bus.keep(TRAINING, TrainingTopic(job.machine, MODEL_NAME), job.message(datetime.now(UTC)))

    def _tell_card(self, card: ModelCard) -> None:
        self._bus.keep(MODEL, ModelTopic(card.machine, MODEL_NAME), card)


def _ms(took: timedelta) -> float:
    return took.total_seconds() * 1000.0
