"""What every worker of the gateway does: takes in its share of the telemetry and tells the present of it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from broker.bus import Bus, BusAddress, backoff_s
from broker.channels import ANNOUNCE, METRIC, TELEMETRY, Channel
from broker.intake import Intake
from broker.outlet import Outlet
from broker.roles import gateway_user, ingest_user, live_user, state_user
from gateway.ingest import Ingest
from gateway.live import LiveView
from gateway.registry import Registry
from gateway.rejects import Rejects
from gateway.sharing import Share
from gateway.store import Keeping, Store, StoreUnavailableError
from gateway.teller import Teller

PING_S: Final = 1.0
FLUSH_S: Final = 0.8
log = structlog.get_logger()

Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Where things are, and which share of the machines is ours."""

    bus: BusAddress
    broker_passwords: dict[str, str] = field(repr=False)
    database_url: str = field(repr=False)
    version: str
    share: Share = field(default_factory=Share)
    keeping: Keeping = field(default_factory=Keeping)


class Worker:
    """The parts each worker has, and the tasks that keep them going."""

    def __init__(self, config: WorkerConfig) -> None:
        passwords = config.broker_passwords
        self.share = config.share
        self.store = Store(config.database_url, keeping=config.keeping)
        self.registry = Registry()
        self.rejects = Rejects()
        user = gateway_user(config.share.index)
        self.bus = Bus(
            config.bus, user, passwords[user], service=user, version=config.version, persistent=True
        )
        user = state_user(config.share.index)
        self.outlet = Outlet(config.bus, user, passwords[user])
        user = ingest_user(config.share.index)
        self.intake = self._intake(config, user, TELEMETRY, METRIC, ANNOUNCE)
        self.ingest = Ingest(self.intake, self.store, self.registry, self.rejects)
        self.live = LiveView(lambda: self._live_intake(config), self.ingest, self.registry)
        self.teller = Teller(self.bus, self.outlet, self.registry, self.rejects, self.store)
        self.database = "not connected yet"
        self._ready = asyncio.Event()

    @staticmethod
    def _intake(config: WorkerConfig, user: str, *channels: Channel[Any, Any], **options: Any) -> Intake:
        wanted = config.share.wants if config.share.count > 1 else None
        return Intake(config.bus, user, config.broker_passwords[user], *channels, wanted=wanted, **options)

    @classmethod
    def _live_intake(cls, config: WorkerConfig) -> Intake:
        user = live_user(config.share.index)
        return cls._intake(config, user, TELEMETRY, METRIC, qos=0, persistent=False)

    def dependencies(self) -> dict[str, str]:
        """Return how each dependency is, `ok` or in words, without asking it now."""
        connected = self.bus.connected and self.intake.connected and self.outlet.connected
        return {"database": self.database, "broker": "ok" if connected else "not connected"}

    def after_start(self, work: Work) -> Work:
        """Return the work, to begin when the tables are up to date."""

        async def run() -> None:
            await self._ready.wait()
            await work()

        return run

    async def run(self, stop: asyncio.Event, more: Sequence[tuple[str, Work]] = ()) -> None:
        """Work until `stop`; then finish the batch at hand, say goodbye on the bus, and close."""
        await self.store.open()
        jobs = (
            ("database watch", self._watch_database),
            ("database start", self._start_from_database),
            ("ingest", self.after_start(self.ingest.run)),
            ("live view", self.live.run),
            ("teller", self.teller.run),
            ("refusals", self.teller.run_refusals),
            *more,
        )
        try:
            async with self.bus, self.intake, self.outlet, asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(work(), name=name) for name, work in jobs]
                await stop.wait()
                log.info("stopping")
                await self.ingest.finish(FLUSH_S)
                for task in running:
                    task.cancel()
                self.teller.tell(datetime.now(UTC))
        finally:
            await self.store.close()

    async def _watch_database(self) -> None:
        """Ask the database every second how it is, and tell the bus whenever a dependency changed."""
        told: dict[str, str] = {}
        while True:
            try:
                await self.store.ping()
                self.database = "ok" if self._ready.is_set() else "starting"
            except StoreUnavailableError as error:
                self.database = str(error)
            found = self.dependencies()
            if found != told:
                self.bus.set_state("ok" if set(found.values()) == {"ok"} else "degraded", found)
                told = found
            await asyncio.sleep(PING_S if self.database == "ok" else 0.2)

    async def _start_from_database(self) -> None:
        """Bring the tables up to date and remember what they hold, as soon as there is a database."""
        attempt = 0
        while not self._ready.is_set():
            try:
                await self.store.migrate()
                now = datetime.now(UTC)
                await self.store.make_partitions(now)
                for one in await self.store.latest(now):
                    if self.share.owns(one.machine.machine):
                        self.registry.restore(one.machine, one.values, one.last_seen)
                self.teller.begin()
                self._ready.set()
            except StoreUnavailableError as error:
                if attempt == 0:
                    log.warning("waiting for the database", why=str(error))
                await asyncio.sleep(backoff_s(min(attempt, 4), 1.0))
                attempt += 1
