"""A real Node-RED in a folder of its own."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.broker import free_port

HERE = Path(__file__).parent
PROGRAM = HERE / "node_modules" / "node-red" / "red.js"
START_S = 60.0


@dataclass
class NodeRed:
    """`lines` is what it logged so far; `url` its admin API, open on loopback for the test."""

    url: str
    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())
            self.grown.set()

    async def logged(self, text: str, within_s: float) -> bool:
        """Whether a line with `text` was logged, or is within that time."""
        ends = time.monotonic() + within_s
        while not any(text in line for line in self.lines):
            self.grown.clear()
            try:
                await asyncio.wait_for(self.grown.wait(), ends - time.monotonic())
            except TimeoutError:
                return False
        return True

    async def deploy(self, flows: list[dict[str, Any]]) -> None:
        headers = {"Node-RED-Deployment-Type": "full"}
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
            answer = await http.post("/flows", json=flows, headers=headers)
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text


def settings(port: int) -> str:
    given = {
        "uiHost": "127.0.0.1",
        "uiPort": port,
        "flowFile": "flows.json",
        "credentialSecret": secrets.token_hex(16),
        "telemetry": {"enabled": False, "updateNotification": False},
        "externalModules": {"autoInstall": False, "palette": {"allowInstall": False}},
        "logging": {"console": {"level": "info", "metrics": False, "audit": False}},
    }
    return f"module.exports = {json.dumps(given, indent=2)};\n"


async def answers(url: str, process: asyncio.subprocess.Process) -> bool:
    ends = time.monotonic() + START_S
    async with httpx.AsyncClient(base_url=url, timeout=5) as http:
        while process.returncode is None and time.monotonic() < ends:
            try:
                if (await http.get("/flows")).status_code == httpx.codes.OK:
                    return True
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    return False


async def stop(process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
    """End the whole group; its output ends when the last of it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(reading), 5)
            break
    await process.wait()


@pytest.fixture
async def node_red() -> AsyncIterator[NodeRed]:
    if not PROGRAM.exists():
        pytest.fail("Node-RED is not installed; run: make test-setup")
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or "node"
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="enms-node-red-") as folder:
        chosen = Path(folder) / "settings.js"
        chosen.write_text(settings(port))
        process = await asyncio.create_subprocess_exec(
            node,
            PROGRAM,
            "--userDir",
            folder,
            "--settings",
            chosen,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "TZ": "UTC"},
            start_new_session=True,  # the environment's `node` is a launcher: stop it and what it launched
        )
        running = NodeRed(f"http://127.0.0.1:{port}", process)
        reading = asyncio.create_task(running.read(), name="node-red log")
        try:
            assert await answers(running.url, process), "\n".join(running.lines)
            yield running
        finally:
            await stop(process, reading)
