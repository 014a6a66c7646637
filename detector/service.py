"""The detector as a process: two connections to the bus, live scoring, training beside it."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from broker.bus import Bus
from broker.channels import ANOMALY, EXPECTED, MACHINE, METRIC, MODEL, TELEMETRY, TRAINING
from broker.messages import BadMessageError, ModelCard, ModelRef, encode
from broker.outbox import Outbox, WhenFull
from broker.outbox_file import Limits
from broker.sender import OutboxSender
from broker.stream import Stream
from broker.topics import AnomalyTopic, BadTopicError, ExpectedTopic, ModelTopic, TrainingTopic
from detector import events
from detector.config import DetectorConfig, Tuning
from detector.history import HistoryClient, NoHistoryError
from detector.live import Live, MachineLive, Outcome
from detector.models import Explanation
from detector.store import ModelStore
from detector.trainer import Trainer
from detector.training import MODEL as MODEL_NAME
from detector.training import Job
from detector.verdict import Told

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["DetectorConfig", "Tuning", "run"]

LIVE_CAPACITY = 2000
KEPT = Limits(rows=100_000, size_bytes=256 * 1024 * 1024)
"""Events kept until they are stored. When even these are full the oldest go: to stop detecting is worse."""
SILENCE_LOOK_S = 5.0

log = structlog.get_logger()


async def run(config: DetectorConfig) -> None:
    """Run until cancelled. Anything that breaks brings the process down, with its reason."""
    bus = Bus(config.bus, "detector", config.password, service="detector", version=config.version)
    live_bus = Bus(config.bus, "detector-live", config.live_password)
    machines = bus.subscribe(MACHINE)
    rows = live_bus.subscribe(TELEMETRY, METRIC, capacity=LIVE_CAPACITY)
    history = HistoryClient(config.api_url, config.api_token)
    kept = Outbox(config.outbox, WhenFull.DROP_OLDEST, KEPT)
    sender = OutboxSender(bus, kept)
    try:
        async with kept as outbox, bus, live_bus, asyncio.TaskGroup() as group:
            service = _Service(config, bus, outbox, history, group)
            tasks: dict[str, Coroutine[Any, Any, None]] = {
                "names": service.follow_names(machines),
                "rows": service.follow_rows(rows),
                "silence": service.watch_silence(),
                "training": service.train_for_ever(),
                "events": sender.run(),
            }
            for name, task in tasks.items():
                group.create_task(task, name=f"detector {name}")
    finally:
        await history.close()


class _Service:
    """Wires the live table, the trainer and the bus."""

    def __init__(
        self,
        config: DetectorConfig,
        bus: Bus,
        outbox: Outbox,
        history: HistoryClient,
        group: asyncio.TaskGroup,
    ) -> None:
        self._config = config
        self._bus = bus
        self._outbox = outbox
        self._group = group
        self._live = Live()
        self._store = ModelStore(config.store)
        self._trainer = Trainer(config, self._store, history, self._tell_job, self._tell_card)
        self._history = history

    async def follow_names(self, stream: Stream) -> None:
        """Learn the machines and their display names from what the gateway keeps."""
        async for delivery in stream:
            if not delivery.payload:
                continue
            with suppress(BadTopicError, BadMessageError):
                where, machine = delivery.read(MACHINE)
                self._live.machine(where.machine).name = machine.name

    async def follow_rows(self, stream: Stream) -> None:
        """Score what arrives; a message is acknowledged when what follows from it is in the outbox."""
        async for delivery in stream:
            for outcome in self._live.take(delivery.topic, delivery.payload, delivery.arrived):
                await self._tell(outcome)
                self._maybe_refit(outcome.live)

    async def watch_silence(self) -> None:
        """Close episodes of machines whose data stopped."""
        while True:
            await asyncio.sleep(SILENCE_LOOK_S)
            for live in self._live.silent(datetime.now(UTC).timestamp()):
                if live.tracker is not None:
                    told, explanation = live.tracker.vanish()
                    await self._publish(live, told, explanation, float("nan"))

    async def train_for_ever(self) -> None:
        """Load what is stored, then train whatever has enough new history; tell how it stands."""
        for machine in self._store.machines():
            self._live.machine(machine)
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

    def _say_state(self, state: Any, gateway: str) -> None:
        if self._bus.dependencies.get("gateway") != gateway:
            log.info("the detector's state changed", state=state, gateway=gateway)
            self._bus.set_state(state, {"gateway": gateway})

    def _tell_job(self, job: Job) -> None:
        self._bus.keep(TRAINING, TrainingTopic(job.machine, MODEL_NAME), job.message(datetime.now(UTC)))

    def _tell_card(self, card: ModelCard) -> None:
        self._bus.keep(MODEL, ModelTopic(card.machine, MODEL_NAME), card)

    async def _tell(self, outcome: Outcome) -> None:
        live, looked = outcome.live, outcome.looked
        tracker = live.tracker
        if tracker is None:
            return
        seen = looked.explanation
        if outcome.expected_due and seen is not None and seen.views:
            state = tracker.state(seen)
            told = None
            if looked.held:  # nothing is expected of a machine that changes over, and nothing is strange
                told = events.expected(live.machine, looked.ts_s, Explanation(()), state=state, score=0.0)
            elif looked.score == looked.score:
                told = events.expected(live.machine, looked.ts_s, seen, state=state, score=looked.score)
            if told is not None:
                self._bus.keep(EXPECTED, ExpectedTopic(live.machine), told)
        await self._publish(live, looked.told, seen, looked.score)

    async def _publish(
        self, live: MachineLive, told: tuple[Told, ...], explanation: Explanation | None, score: float
    ) -> None:
        if live.tracker is None or not told or explanation is None or not explanation.views:
            return
        for one in told:
            situation = events.Situation(
                machine=live.machine,
                machine_name=live.name,
                state=live.tracker.state(explanation),
                score=score,
                model=ModelRef(name=MODEL_NAME, version=live.tracker.named_version),
                now=datetime.now(UTC),
            )
            event = events.anomaly(one, explanation, situation)
            await self._outbox.put(ANOMALY, AnomalyTopic(live.machine), encode(event))
            log.info("anomaly", phase=one.phase, machine=live.machine, id=event.anomaly_id, score=event.score)
            kept = None if one.phase == "closed" else one.episode
            self._store.keep_episode(live.machine, kept, one.ts_s)

    def _maybe_refit(self, live: MachineLive) -> None:
        tracker = live.tracker
        if tracker is None or live.refitting:
            return
        rows = tracker.refit_rows()
        if rows is not None:
            live.refitting = True
            self._group.create_task(self._trainer.refit(live, rows), name=f"refit {live.machine}")
