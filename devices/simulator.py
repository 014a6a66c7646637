"""The simulated factory on the bus: a history first, then a row a machine each period, and commands."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from broker.bus import Bus, BusAddress
from broker.channels import ANNOUNCE, COMMAND, REPLY, SERVICE
from broker.messages import BadMessageError
from broker.stream import Stream
from broker.topics import AnnounceTopic, BadTopicError, ReplyTopic
from devices.commands import Commands
from devices.factory import Factory, Fault, Row, plant
from devices.factory.plant import DEFAULT_MACHINES
from devices.outbox import ROWS_A_MESSAGE, Outbox, Tick, messages
from devices.sending import send_all

USER: Final = "simulator"
BACKFILL_PERIOD: Final = timedelta(minutes=1)
KEPT_S: Final = 3600.0
KEPT_ROWS: Final = 300_000
"""Rows kept while the broker is away: an hour, and never more than these (some 200 MB)."""
_LOOK_S: Final = 0.05

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """How to run the simulated factory.

    With `backfill` above 0 that much past is published first, one row a minute. `speed` is how much faster
    than the clock the factory lives: rows still carry the real time. `faults` begin at their own start.
    Raises ValueError when a figure makes no sense.
    """

    bus: BusAddress
    password: str = field(repr=False)
    version: str = ""
    seed: int = 1
    machines: int = DEFAULT_MACHINES
    period_s: float = 1.0
    speed: float = 1.0
    backfill: timedelta = timedelta()
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if self.period_s <= 0.0 or self.speed <= 0.0:
            msg = f"period_s {self.period_s:g} and speed {self.speed:g} must both be above 0"
            raise ValueError(msg)
        if self.backfill < timedelta():
            msg = "backfill reaches into the past: give 0 or a positive time"
            raise ValueError(msg)

    @property
    def kept_ticks(self) -> int:
        """How many rows of each machine are kept while the broker is away."""
        return max(1, min(int(KEPT_S / self.period_s), KEPT_ROWS // self.machines))


@dataclass(slots=True)
class Timeline:
    """Which time it is in the factory: real time until `origin`, and `speed` times as fast from there."""

    origin: datetime
    speed: float

    def factory_time(self, real: datetime) -> datetime:
        """Return the factory's time at a real time."""
        return real if real < self.origin else self.origin + (real - self.origin) * self.speed


async def run(config: SimulatorConfig) -> None:
    """Run until cancelled. Waits for the broker as long as it takes, at the start and later.

    Raises ValueError when the schedule of faults names what is not there.
    """
    started = datetime.now(UTC)
    factory = Factory(plant(config.machines), config.seed, started - config.backfill)
    for fault in config.faults:
        factory.inject(fault)
    bus = Bus(config.bus, USER, config.password, service=USER, version=config.version)
    commands = bus.subscribe(COMMAND, service=USER)
    gateway = bus.subscribe(SERVICE, service="gateway")
    timeline = Timeline(started, config.speed)
    outbox = Outbox(config.kept_ticks)
    introduce = asyncio.Event()
    async with bus, asyncio.TaskGroup() as group:
        group.create_task(_introduce(bus, factory, introduce), name="introduce the machines")
        group.create_task(_watch_gateway(gateway, introduce), name="watch the gateway")
        group.create_task(_obey(bus, commands, factory, timeline), name="obey commands")
        if config.backfill:
            await _publish_past(bus, factory, started - config.backfill)
        # The past took a while to send; the factory leaves real time only from here on.
        timeline.origin = datetime.now(UTC)
        bus.set_state("ok")
        group.create_task(_send(bus, outbox), name="send")
        group.create_task(_live(config.period_s, factory, timeline, outbox), name="live")


async def _publish_past(bus: Bus, factory: Factory, begin: datetime) -> None:
    """Publish a row a minute from `begin` until the present is reached."""
    log.info("publishing the past", begin=begin.isoformat(), machines=len(factory.machines))
    began_s, told = time.monotonic(), 0
    at = begin.replace(second=0, microsecond=0) + BACKFILL_PERIOD
    first, rows = at, 0
    while (now := datetime.now(UTC)) >= at:
        ticks: list[Tick] = []
        while at <= now and len(ticks) < ROWS_A_MESSAGE:
            ticks.append(factory.step(at))
            at += BACKFILL_PERIOD
            await asyncio.sleep(0)
        await send_all(bus, messages(ticks))
        rows += len(ticks) * len(factory.machines)
        done = int(10 * ((at - first) / max(now - first, BACKFILL_PERIOD)))
        if done > told:
            told = done
            log.info("publishing the past", done_pct=min(10 * done, 100), rows=rows)
    log.info("the past is published", rows=rows, took_s=round(time.monotonic() - began_s, 1))


async def _live(period_s: float, factory: Factory, timeline: Timeline, outbox: Outbox) -> None:
    """Put a tick into the outbox at every whole multiple of the period."""
    dropped = 0
    for due_s in _beats(period_s):
        await asyncio.sleep(max(0.0, due_s - time.time()))
        real = datetime.fromtimestamp(due_s, UTC)
        rows = factory.step(timeline.factory_time(real))
        outbox.put({name: Row(real, row.numbers, row.states) for name, row in rows.items()})
        if outbox.dropped and not dropped:
            log.warning("the broker has been away too long: the oldest rows are lost from now on")
        elif dropped and outbox.dropped == dropped:
            log.warning("no more rows are lost", lost=dropped * len(rows))
            outbox.dropped = 0
        dropped = outbox.dropped


def _beats(period_s: float) -> Iterator[float]:
    """Return times to come, multiples of the period; those that are over when asked for are left out."""
    beat = 0
    while True:
        beat = max(beat + 1, int(time.time() / period_s) + 1)
        yield round(beat * period_s, 3)


async def _send(bus: Bus, outbox: Outbox) -> None:
    while True:
        ticks = await outbox.take()
        if len(ticks) > 1:
            log.info("sending what was kept", rows_a_machine=len(ticks), still_kept=len(outbox))
        await send_all(bus, messages(ticks))


async def _introduce(bus: Bus, factory: Factory, again: asyncio.Event) -> None:
    """Announce all machines after every connection, and when `again` is set."""
    while True:
        await bus.wait_connected()
        again.clear()
        for spec in factory.machines.values():
            await bus.publish(ANNOUNCE, AnnounceTopic(spec.name), spec.announce())
        # The shortest pause between two connections is longer than this look.
        while bus.connected and not again.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)


async def _watch_gateway(services: Stream, introduce: asyncio.Event) -> None:
    """Ask for announcements when a gateway has started, since it cannot have heard the earlier ones."""
    known: datetime | None = None
    async for delivery in services:
        try:
            _, service = delivery.read(SERVICE)
        except (BadTopicError, BadMessageError) as error:
            log.warning("the gateway's state cannot be read", why=str(error))
            continue
        if service.state == "ok" and service.started != known:
            known = service.started
            introduce.set()


async def _obey(bus: Bus, stream: Stream, factory: Factory, timeline: Timeline) -> None:
    commands = Commands(factory)
    async for delivery in stream:
        try:
            where, command = delivery.read(COMMAND)
            answer_to = ReplyTopic(where.user, command.id)
        except (BadTopicError, BadMessageError) as error:
            log.warning("a command cannot be answered", topic=delivery.topic, why=str(error))
            continue
        reply = commands.answer(where, command, timeline.factory_time(datetime.now(UTC)))
        log.info("command", user=where.user, verb=where.verb, ok=reply.ok)
        await bus.publish(REPLY, answer_to, reply)
