"""The gateway: one worker's parts, and beside them what is done once. It wires, and stops in order."""

import asyncio
import gc
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from broker.asking import Asking
from broker.dynsec import BrokerAdmin, BrokerAdminError
from gateway.accounts import Accounts
from gateway.commands import GatewayCommands
from gateway.episodes import Episodes
from gateway.http.app import create_app
from gateway.http.context import Context
from gateway.http.server import HttpServer, make_server
from gateway.rollups import Roller
from gateway.roster import Roster
from gateway.status import GatewayStatus
from gateway.store import StoreUnavailableError
from gateway.watermarks import Watermarks
from gateway.worker import Worker, WorkerConfig

GC_THRESHOLD: Final = 50_000
REAP_S: Final = 2.0
UPKEEP_S: Final = 3600.0
REFUSALS_KEPT: Final = timedelta(days=30)
BOOTS_KEPT: Final = timedelta(days=30)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """Where HTTP listens. `service_tokens` are the bearer tokens of our own processes by name."""

    host: str
    http_port: int
    ws_port: int
    service_tokens: dict[str, str] = field(repr=False)
    mqtt_ws_url: str = ""


class Gateway(Worker):
    """The first worker: beside its share it serves HTTP, log-ins, anomalies, commands, and tidies up."""

    def __init__(self, config: WorkerConfig, web: WebConfig) -> None:
        super().__init__(config)
        self.admin = BrokerAdmin(config.bus, config.broker_passwords["broker-admin"])
        self.roster = Roster(self.registry, self.bus, config.share)
        self.episodes = Episodes(self.bus, self.store)
        self.commands = GatewayCommands(self.bus, self.store)
        self.orders = Asking(self.bus)
        self.watermarks = Watermarks(self.bus, self.store, self._is_machine)
        self.roller = Roller(self.store)
        self.accounts = Accounts(self.store, self.admin)
        self._server = self._make_server(config, web)

    def dependencies(self) -> dict[str, str]:
        """Return how each dependency is, `ok` or in words, without asking it now."""
        found = super().dependencies()
        if not self.admin.connected:
            found["broker"] = "not connected"
        return found | self.roster.workers()

    async def serve(self, stop: asyncio.Event) -> None:
        """Do all of it until `stop`."""
        await self.run(
            stop,
            (
                ("http", self._serve_http),
                ("broker admin", self.admin.run),
                ("other workers", self.roster.run),
                ("episodes", self.after_start(self.episodes.run)),
                ("commands", self.commands.run),
                ("answers", self.orders.run),
                ("watermarks", self.after_start(self.watermarks.run)),
                ("rollups", self.after_start(self.roller.run)),
                ("session reaper", self.after_start(self._reap)),
                ("database upkeep", self.after_start(self._upkeep)),
            ),
        )

    def _is_machine(self, name: str) -> bool:
        return self.roster.machine(name) is not None

    async def _serve_http(self) -> None:
        serving = asyncio.create_task(self._server.serve(), name="http server")
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = True
            await serving

    def _make_server(self, config: WorkerConfig, web: WebConfig) -> HttpServer:
        context = Context(
            store=self.store,
            accounts=self.accounts,
            registry=self.registry,
            roster=self.roster,
            rejects=self.rejects,
            orders=self.orders,
            status=GatewayStatus(self.dependencies, self.ingest.counts, lambda: self.watermarks.missing),
            version=config.version,
            root=config.bus.root,
            ws_port=web.ws_port,
            mqtt_ws_url=web.mqtt_ws_url,
            service_tokens=web.service_tokens,
        )
        return make_server(create_app(context), web.host, web.http_port)

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
        """Make the partitions to come, drop what is kept no longer. Raises StoreUnavailableError."""
        await self.store.make_partitions(now)
        await self.store.apply_keeping(now)
        await self.store.drop_rejected(before=now - REFUSALS_KEPT)
        await self.store.drop_old_sources(before=now - BOOTS_KEPT)


async def run(config: WorkerConfig, web: WebConfig | None) -> None:
    """Run until SIGTERM or SIGINT: the gateway, or without `web` another worker beside it."""
    # Messages come and go by the ten thousand a second and none of them in a circle: looking for circles as
    # often as Python does by default costs a fifth of the time.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 50, 50)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if web is None:
        await Worker(config).run(stop)
    else:
        await Gateway(config, web).serve(stop)
