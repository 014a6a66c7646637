"""The simulated factory on the bus: a history first, then a row a machine each period, and commands."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from broker.bus import Bus, BusAddress
from broker.channels import ANNOUNCE, SERVICE
from broker.commands import Commands
from broker.messages import BadMessageError
from broker.outbox import Outbox, WhenFull
from broker.outbox_file import Limits
from broker.sender import OutboxSender
from broker.stream import Stream
from broker.topics import AnnounceTopic, BadTopicError
from devices.commands import verbs
from devices.factory import Factory, Fault, Row, plant
from devices.factory.plant import DEFAULT_MACHINES
from devices.sending import ROWS_A_MESSAGE, Tick, bodies, telemetry

USER: Final = "simulator"
BACKFILL_PERIOD: Final = timedelta(minutes=1)
KEPT_S: Final = 3600.0
KEPT_MESSAGES: Final = 300_000
KEPT_BYTES: Final = 256 * 1024 * 1024
"""Kept while the broker or the gateway is away: an hour, and never more than this."""
PAST_MESSAGES: Final = 20_000
"""The past comes in lists, and waits when so many of them are not stored yet."""
LATE_S: Final = 10.0
"""A machine goes on measuring while a slow disk holds up who writes it down."""
_LOOK_S: Final = 0.05

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """How to run the simulated factory. `outbox` is the file that keeps what is not stored yet.

    With `backfill` above 0 that much past is published first, one row a minute; when all of it is sent the
    file `backfilled` is made. `speed` is how much faster than the clock the factory lives: rows still carry
    the real time. `faults` begin at their own start.
    Raises ValueError when a figure makes no sense.
    """

    bus: BusAddress
    password: str = field(repr=False)
    outbox: Path
    version: str = ""
    seed: int = 1
    machines: int = DEFAULT_MACHINES
    period_s: float = 1.0
    speed: float = 1.0
    backfill: timedelta = timedelta()
    backfilled: Path | None = None
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if self.period_s <= 0.0 or self.speed <= 0.0:
            msg = f"period_s {self.period_s:g} and speed {self.speed:g} must both be above 0"
            raise ValueError(msg)
        if self.backfill < timedelta():
            msg = "backfill reaches into the past: give 0 or a positive time"
            raise ValueError(msg)

    @property
    def kept(self) -> Limits:
        """How much is kept while nothing is stored: the newest hour, and no more than fits."""
        hour = max(1, int(KEPT_S / self.period_s)) * self.machines
        return Limits(max(min(hour, KEPT_MESSAGES), PAST_MESSAGES, self.machines), KEPT_BYTES)


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
    timeline = Timeline(started, config.speed)
    commands = Commands(bus, USER, verbs(factory, timeline.factory_time))
    gateway = bus.subscribe(SERVICE, service="gateway")
    introduce = asyncio.Event()
    async with Outbox(config.outbox, WhenFull.DROP_OLDEST, config.kept) as outbox:
        sender = OutboxSender(bus, outbox)
        async with bus, asyncio.TaskGroup() as group:
            group.create_task(_introduce(bus, factory, introduce), name="introduce the machines")
            group.create_task(_watch_gateway(gateway, introduce), name="watch the gateway")
            group.create_task(commands.run(), name="obey commands")
            group.create_task(sender.run(), name="send")
            if config.backfill:
                await _publish_past(sender, outbox, factory, started - config.backfill)
                if config.backfilled is not None:
                    config.backfilled.touch()
            # The past took a while to send; the factory leaves real time only from here on.
            timeline.origin = datetime.now(UTC)
            bus.set_state("ok")
            group.create_task(_live(config.period_s, factory, timeline, outbox), name="live")


async def _publish_past(sender: OutboxSender, outbox: Outbox, factory: Factory, begin: datetime) -> None:
    """Publish a row a minute from `begin` until the present is reached and the broker has all of it."""
    log.info("publishing the past", begin=begin.isoformat(), machines=len(factory.machines))
    began_s, told = time.monotonic(), 0
    at = begin.replace(second=0, microsecond=0) + BACKFILL_PERIOD
    first, rows, last = at, 0, 0
    while (now := datetime.now(UTC)) >= at:
        ticks: list[Tick] = []
        while at <= now and len(ticks) < ROWS_A_MESSAGE:
            ticks.append(factory.step(at))
            at += BACKFILL_PERIOD
            await asyncio.sleep(0)
        await outbox.wait_rows(max(0, PAST_MESSAGES - len(factory.machines)))
        last = await outbox.put_all(telemetry(bodies(ticks)))
        rows += len(ticks) * len(factory.machines)
        done = int(10 * ((at - first) / max(now - first, BACKFILL_PERIOD)))
        if done > told:
            told = done
            log.info("publishing the past", done_pct=min(10 * done, 100), rows=rows)
    await sender.wait_sent(last)
    log.info("the past is published", rows=rows, took_s=round(time.monotonic() - began_s, 1))


async def _live(period_s: float, factory: Factory, timeline: Timeline, outbox: Outbox) -> None:
    """Put a tick into the outbox at every whole multiple of the period."""
    for due_s in _beats(period_s):
        await asyncio.sleep(max(0.0, due_s - time.time()))
        real = datetime.fromtimestamp(due_s, UTC)
        rows = factory.step(timeline.factory_time(real))
        tick = {name: Row(real, row.numbers, row.states) for name, row in rows.items()}
        await outbox.put_all(telemetry(bodies([tick])))


def _beats(period_s: float) -> Iterator[float]:
    """Return times to come, multiples of the period; those missed by more than LATE_S are left out."""
    beat = int(time.time() / period_s)
    while True:
        beat = max(beat + 1, int((time.time() - LATE_S) / period_s) + 1)
        yield round(beat * period_s, 3)


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
