"""The load generator's process, as the benchmarks hold it."""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any, Final, Self

from enms.bench.latency_signal import SIGNALS
from enms.bench.stand import GENERATOR, Stand
from enms.bench.truth import Load

Progress = Callable[[int], None]
QUIT_S: Final = 5.0


class GeneratorError(RuntimeError):
    """The load generator ended before its work was done; the message has its last words."""


class Generator:
    """Sends on command. `load` is known after the first one, `window` is the broker's Receive Maximum."""

    def __init__(
        self, stand: Stand, machines: int, metrics: int, spacing_ms: int, signal: str = "uniform"
    ) -> None:
        bus = stand.settings.bus
        self._shape = {"machines": machines, "metrics": metrics, "spacing_ms": spacing_ms}
        self._given = {
            "host": bus.host,
            "port": bus.port,
            "root": bus.root,
            "user": GENERATOR,
            "signal": signal,
            **self._shape,
        }
        self._signal = SIGNALS[signal]
        self._password = stand.secret(f"broker-{GENERATOR}")
        self._process: asyncio.subprocess.Process
        self.window = 0
        self.sent = 0
        self.load: Load
        self._known = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start it and wait until it is connected. Raises GeneratorError."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "enms.bench.load",
            json.dumps(self._given),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await self._write(self._password)
            self.window = (await self._read())["window"]
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it, at once if it is in the middle of something."""
        if self._process.returncode is None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), QUIT_S if sys.exc_info()[0] is None else 0.1)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def flat(
        self, messages: int, rate: float = 0, progress: Progress = lambda _: None
    ) -> dict[str, Any]:
        """Send messages as fast as the broker takes them, or `rate` a second; returns what it says of it."""
        return await self._order(f"flat {messages} {rate}", progress)

    async def paced(self, seconds: int, progress: Progress = lambda _: None) -> dict[str, Any]:
        """Send a message of each machine a second; returns what it says of it, its own lateness included."""
        return await self._order(f"paced {seconds}", progress)

    async def load_known(self, order: "asyncio.Task[dict[str, Any]]") -> Load:
        """Return the load as soon as the first command begins. Raises what `order` ended with before."""
        knowing = asyncio.create_task(self._known.wait())
        await asyncio.wait({order, knowing}, return_when=asyncio.FIRST_COMPLETED)
        knowing.cancel()
        if not self._known.is_set():
            await order
        return self.load

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def _order(self, command: str, progress: Progress) -> dict[str, Any]:
        await self._write(command)
        while True:
            said = await self._read()
            if "base_ms" in said:
                self.load = self._signal(base_ms=said["base_ms"], **self._shape)
                self._known.set()
                continue
            self.sent = said["sent"]
            progress(said["acknowledged"])
            if "done" in said:
                if said["acknowledged"] != said["sent"]:
                    raise GeneratorError(f"only {said['acknowledged']} of {said['sent']} were acknowledged")
                return said

    async def _write(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101  it was opened as a pipe
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101  the same
        line = await self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None  # noqa: S101  the same
            words = (await self._process.stderr.read()).decode(errors="replace").strip().splitlines()
            raise GeneratorError(f"the load generator ended: {words[-1] if words else 'without a word'}")
        found: dict[str, Any] = json.loads(line)
        return found
