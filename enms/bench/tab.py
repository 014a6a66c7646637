"""A browser tab's process, as the benchmarks hold it."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from enms.bench.stand import Stand

QUIT_S: Final = 5.0
MESSAGE_MOST_BYTES: Final = 4 * 1024 * 1024


class TabEndedError(RuntimeError):
    """The tab could not listen, or ended early; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message with the time at which the tab had it; `topic` is without the root."""

    received_s: float
    topic: str
    payload: str


@dataclass(slots=True)
class Tab:
    """Hears the topics that `filters` (without the root) cover, as a viewer of its own; `heard` grows."""

    stand: Stand
    user: str
    filters: tuple[str, ...]
    heard: list[Heard] = field(default_factory=list)
    _process: asyncio.subprocess.Process = field(init=False)
    _reading: "asyncio.Task[None]" = field(init=False)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        """Make the user, log in and subscribe. Raises TabEndedError."""
        async with self.stand.api() as api:
            made = await api.post("users", json={"name": self.user, "role": "viewer"})
            made.raise_for_status()
        root = self.stand.settings.root
        given = {
            "api": f"{self.stand.settings.http_url}/api/v1",
            "user": self.user,
            "filters": [f"{root}/{one}" for one in self.filters],
        }
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "enms.bench.tab_client", json.dumps(given)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MESSAGE_MOST_BYTES,
        )
        assert self._process.stdin is not None  # noqa: S101  it was opened as a pipe
        self._process.stdin.write(f"{made.json()['password']}\n".encode())
        try:
            await self._subscribed()
        except BaseException:
            await self._end()
            raise
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._end()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def until(self, enough: Callable[[Self], bool], within_s: float) -> bool:
        """Wait until `enough` of this tab; False where it does not come. Raises TabEndedError."""
        try:
            async with asyncio.timeout(within_s):
                while not enough(self):
                    if self._reading.done():
                        self._reading.result()
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            return False
        return True

    async def _subscribed(self) -> None:
        if b"subscribed" not in await self._line():
            raise TabEndedError(await self._last_words())

    async def _read(self) -> None:
        cut = len(self.stand.settings.root) + 1
        try:
            while line := await self._line():
                told = json.loads(line)
                self.heard.append(Heard(told["received_s"], told["topic"][cut:], told["payload"]))
                self._more.set()
            raise TabEndedError(await self._last_words())
        finally:
            self._more.set()

    async def _line(self) -> bytes:
        assert self._process.stdout is not None  # noqa: S101  the same
        return await self._process.stdout.readline()

    async def _last_words(self) -> str:
        assert self._process.stderr is not None  # noqa: S101  the same
        words = (await self._process.stderr.read()).decode(errors="replace").strip().splitlines()
        return f"the listening tab ended: {words[-1] if words else 'without a word'}"

    async def _end(self) -> None:
        if self._process.returncode is None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), QUIT_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
