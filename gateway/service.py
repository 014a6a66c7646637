"""The gateway: wires its parts into one group of tasks, and stops them in order."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from broker.bus import Bus, BusAddress, backoff_s
from broker.dynsec import BrokerAdmin, BrokerAdminError
from gateway.accounts import Accounts
from gateway.episodes import Episodes
from gateway.http.app import create_app
from gateway.http.context import Context
from gateway.http.server import HttpServer, make_server
from gateway.ingest import Ingest
from gateway.registry import Registry
from gateway.rejects import Rejects
from gateway.status import GatewayStatus
from gateway.store import Store, StoreUnavailableError
from gateway.teller import Teller

PING_S: Final = 1.0
REAP_S: Final = 2.0
UPKEEP_S: Final = 3600.0
REFUSALS_KEPT: Final = timedelta(days=30)
FLUSH_S: Final = 2.0
log = structlog.get_logger()

Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Where things are. `service_tokens` are bearer tokens of our own processes by name."""

    bus: BusAddress
    broker_passwords: dict[str, str]
    database_url: str
    host: str
    http_port: int
    ws_port: int
    version: str
    service_tokens: dict[str, str]
    mqtt_ws_url: str = ""


class Gateway:
    """All parts of the gateway, and the tasks that keep them going."""

    def __init__(self, config: GatewayConfig) -> None:
        passwords = config.broker_passwords
        self.store = Store(config.database_url)
        self.registry = Registry()
        self.rejects = Rejects()
        self.telemetry_bus = Bus(config.bus, "gateway-ingest", passwords["gateway-ingest"], persistent=True)
        self.bus = Bus(
            config.bus,
            "gateway",
            passwords["gateway"],
            service="gateway",
            version=config.version,
            persistent=True,
        )
        self.admin = BrokerAdmin(config.bus, passwords["broker-admin"])
        self.ingest = Ingest(self.telemetry_bus, self.store, self.registry, self.rejects)
        self.episodes = Episodes(self.bus, self.store)
        self.teller = Teller(self.bus, self.registry, self.rejects, self.store)
        self.accounts = Accounts(self.store, self.admin)
        self.database = "not connected yet"
        self._ready = asyncio.Event()
        self._server = self._make_server(config)

    def dependencies(self) -> dict[str, str]:
        """Return how each dependency is, `ok` or in words, without asking it now."""
        connected = self.bus.connected and self.telemetry_bus.connected and self.admin.connected
        return {"database": self.database, "broker": "ok" if connected else "not connected"}

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; then finish the batch at hand, say goodbye on the bus, and close."""
        await self.store.open()
        try:
            async with self.bus, self.telemetry_bus, asyncio.TaskGroup() as tasks:
                running: list[asyncio.Task[None]] = [
                    tasks.create_task(work(), name=name)
                    for name, work in (
                        ("broker admin", self.admin.run),
                        ("database watch", self._watch_database),
                        ("database start", self._start_from_database),
                        ("ingest", self._after_start(self.ingest.run)),
                        ("episodes", self._after_start(self.episodes.run)),
                        ("teller", self.teller.run),
                        ("refusals", self.teller.run_refusals),
                        ("session reaper", self._after_start(self._reap)),
                        ("database upkeep", self._after_start(self._upkeep)),
                    )
                ]
                server = tasks.create_task(self._server.serve(), name="http")
                await stop.wait()
                log.info("stopping")
                await self.ingest.finish(FLUSH_S)
                for task in running:
                    task.cancel()
                self.teller.tell(datetime.now(UTC))
                self._server.should_exit = True
                await server
        finally:
            await self.store.close()

    def _make_server(self, config: GatewayConfig) -> HttpServer:
        context = Context(
            store=self.store,
            accounts=self.accounts,
            registry=self.registry,
            rejects=self.rejects,
            status=GatewayStatus(self.dependencies, self.ingest.counts),
            version=config.version,
            root=config.bus.root,
            ws_port=config.ws_port,
            mqtt_ws_url=config.mqtt_ws_url,
            service_tokens=config.service_tokens,
        )
        return make_server(create_app(context), config.host, config.http_port)

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
                    self.registry.restore(one.machine, one.values, one.last_seen)
                self._ready.set()
            except StoreUnavailableError as error:
                if attempt == 0:
                    log.warning("waiting for the database", why=str(error))
                await asyncio.sleep(backoff_s(min(attempt, 4), 1.0))
                attempt += 1

    def _after_start(
        self, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        async def run() -> None:
            await self._ready.wait()
            await work()

        return run

    async def _reap(self) -> None:
        known = False
        while True:
            with suppress(StoreUnavailableError, BrokerAdminError):
                if not known:
                    await self.accounts.reap_unknown()
                    known = True
                await self.accounts.reap()
            await asyncio.sleep(REAP_S)

    async def _upkeep(self) -> None:
        while True:
            with suppress(StoreUnavailableError):
                await self.tidy(datetime.now(UTC))
            await asyncio.sleep(UPKEEP_S)

    async def tidy(self, now: datetime) -> None:
        """Make the partitions to come and forget old refusals. Raises StoreUnavailableError."""
        await self.store.make_partitions(now)
        await self.store.drop_rejected(before=now - REFUSALS_KEPT)


async def run(config: GatewayConfig) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Gateway(config).run(stop)
