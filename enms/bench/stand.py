"""A broker, a database and a gateway of a benchmark's own: real ones, each in its own process."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

import httpx

from broker.topics import ServiceTopic
from enms import parts
from enms.bench.processes import Cost, cost
from enms.secret_files import SecretFiles
from enms.settings import Settings
from enms.supervisor import Child, Supervisor

GENERATOR: Final = "simulator"
"""The broker user the load generator is."""
SUBSCRIBER: Final = "gateway-ingest"
"""The broker user that reads telemetry, ours and each rival: the same rights, the same session."""
WITNESS: Final = "detector"
"""A broker user that may read what services say of themselves."""


class MissingError(RuntimeError):
    """Something is not installed; the message has the command that installs it."""


class Stand:
    """Everything on free ports in a temporary folder, removed at the end.

    The broker runs from the beginning, the database if asked for, the gateway after `start_gateway`, the
    detector after `start_detector`.
    """

    def __init__(self, *, database: bool = True, folder: Path | None = None, workers: int = 1) -> None:
        self._with_database = database
        self._workers = workers
        self._parent = folder
        self._folder = Path()
        self.settings: Settings
        self._supervisor: Supervisor

    async def __aenter__(self) -> Self:
        """Start the broker and the database. Raises what says why one would not start."""
        # Readable to the users that Mosquitto and PostgreSQL drop to.
        self._folder = Path(tempfile.mkdtemp(prefix="enms-bench-", dir=self._parent))
        self._folder.chmod(0o755)
        http_port, mqtt_port, ws_port = free_ports(3)
        self.settings = Settings.read(
            data_dir=self._folder,
            host="127.0.0.1",
            http_port=http_port,
            mqtt_port=mqtt_port,
            ws_port=ws_port,
            root="enms",
            broker_host="",
            database_url="",
            api_url="",
            workers=self._workers,
        )
        self._supervisor = Supervisor(self._folder)
        try:
            await self._start_infrastructure()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything and remove the folder."""
        await self._supervisor.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def start_gateway(self) -> None:
        """Run `enms gateway` and wait until it says that all is well."""
        environment = self.settings.environment()
        command = [sys.executable, "-m", "enms", "gateway"]
        await self._supervisor.start(Child("gateway", command, self._healthy, environment=environment))
        shares = [(f"gateway-{number}", f"{number}/{self._workers}") for number in range(1, self._workers)]
        others = [
            Child(name, [*command, "--worker", share], partial(self._says_ok, name), environment=environment)
            for name, share in shares
        ]
        if others:
            await self._supervisor.start(*others)

    async def start_detector(self) -> None:
        """Run `enms detector`. When it serves is for `system/scoring` to say: see `Tab`."""
        command = [sys.executable, "-m", "enms", "detector"]
        child = Child("detector", command, _at_once, environment=self.settings.environment())
        await self._supervisor.start(child)

    @property
    def models(self) -> Path:
        """Where the detector keeps its models."""
        return parts.detector(self.settings).store

    def costs(self) -> dict[str, Cost]:
        """Return what each part has cost by now."""
        return {name: cost(pid) for name, pid in self.pids().items()}

    def pids(self) -> dict[str, int]:
        """Return the process ids of the parts that run, by name."""
        return {path.stem: int(path.read_text().split()[0]) for path in (self._folder / "run").glob("*.pid")}

    def secret(self, name: str) -> str:
        """Return one of the product's generated secrets."""
        return SecretFiles(self._folder).get(name)

    def api(self) -> httpx.AsyncClient:
        """Return a client of the gateway's API, with the right to ask everything."""
        headers = {"Authorization": f"Bearer {self.secret('token-cli')}"}
        return httpx.AsyncClient(
            base_url=f"{self.settings.http_url}/api/v1/", headers=headers, trust_env=False, timeout=120
        )

    def log(self, name: str) -> str:
        """Return the end of what a part said."""
        return (self._folder / "logs" / f"{name}.log").read_text()[-3000:]

    async def _start_infrastructure(self) -> None:
        broker = parts.mosquitto(self.settings)
        broker.prepare(SecretFiles(self._folder).broker_passwords())

        async def broker_ready() -> bool:
            return await asyncio.to_thread(broker.ready)

        children = [Child("broker", broker.command(), broker_ready)]
        if self._with_database:
            database = parts.postgres(self.settings)
            await asyncio.to_thread(database.prepare)
            command = database.command()

            async def database_ready() -> bool:
                await database.ready(30)
                return True

            children.append(
                Child(
                    "database",
                    command.argv,
                    database_ready,
                    environment=command.env,
                    prepare=database.prepare,
                    stop_signal=command.stop_signal,
                    folder=command.cwd,
                )
            )
            self.settings = self.settings.model_copy(update={"database_url": database.url})
        await self._supervisor.start(*children)

    async def _healthy(self) -> bool:
        try:
            async with self.api() as api:
                return (await api.get("health", timeout=2)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    async def _says_ok(self, service: str) -> bool:
        """Whether a worker says on the bus that it is subscribed and has its database."""
        process = await asyncio.create_subprocess_exec(
            *mosquitto_sub(self, WITNESS),
            *("-C", "1", "-W", "1", "-t", f"{self.settings.root}/{ServiceTopic(service)}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        said, _ = await process.communicate()
        return b'"ok"' in said.partition(b'"dependencies"')[0]


async def _at_once() -> bool:
    return True


def mosquitto_sub(stand: Stand, user: str) -> list[str]:
    """Return the beginning of a command that subscribes as a broker user. Raises MissingError."""
    program = shutil.which("mosquitto_sub")
    if program is None:
        raise MissingError("mosquitto_sub is missing; on Debian: sudo apt-get install mosquitto-clients")
    bus, password = stand.settings.bus, stand.secret(f"broker-{user}")
    return [program, "-h", bus.host, "-p", str(bus.port), "-i", user, "-u", user, "-P", password]


def free_ports(count: int) -> Sequence[int]:
    """Return so many ports of this machine that are free now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Stopwatch:
    """Processor seconds of each part between two moments; `others` are further process ids by name."""

    def __init__(self, stand: Stand, **others: int) -> None:
        self._stand = stand
        self._others = others
        self._before = self._costs()
        self._began = time.monotonic()

    def shares(self) -> dict[str, float]:
        """Return how many processors each part has kept busy since, on average."""
        took_s = time.monotonic() - self._began
        now = self._costs()
        return {
            name: (now[name].cpu_s - before.cpu_s) / took_s
            for name, before in self._before.items()
            if name in now
        }

    def _costs(self) -> dict[str, Cost]:
        me = os.getpid()  # whose children are told by themselves
        others = {name: cost(pid, children=pid != me) for name, pid in self._others.items()}
        return self._stand.costs() | others
