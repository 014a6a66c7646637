"""Runs child processes: started in order, started again when they die, stopped in reverse."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

import structlog

STOP_S: Final = 2.8
READY_S: Final = 60.0
RESTART_FIRST_S: Final = 0.2
RESTART_MOST_S: Final = 5.0
SETTLED_S: Final = 20.0
LAST_WORDS_S: Final = 0.5
_DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG
log = structlog.get_logger()


class ChildFailedError(RuntimeError):
    """A child ended before it was ready for the first time; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Child:
    """One process, run in `folder`. `prepare` is called before each start, `ready` until it says yes."""

    name: str
    command: Sequence[str]
    ready: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] | None = None
    folder: Path | None = None
    prepare: Callable[[], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM


@dataclass(slots=True)
class _Running:
    child: Child
    process: asyncio.subprocess.Process | None = None
    lines: list[str] = field(default_factory=list)
    why_not: str = ""
    started_at: float = 0.0


class Supervisor:
    """Tiers of children: a tier starts when the one before it is ready, and stops after the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tiers: list[list[asyncio.Task[None]]] = []
        self._running: dict[str, _Running] = {}
        self._stopping = asyncio.Event()
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / "run").mkdir(parents=True, exist_ok=True)

    async def start(self, *tier: Child) -> None:
        """Start a tier and wait until all of it is ready.

        Raises ChildFailedError when one ends before, TimeoutError when it takes more than 60 s.
        """
        tasks = []
        for child in tier:
            running = self._running[child.name] = _Running(child)
            tasks.append(asyncio.create_task(self._keep_running(running), name=f"child {child.name}"))
        self._tiers.append(tasks)
        async with asyncio.timeout(READY_S):
            for child in tier:
                await self._wait_ready(child)

    async def stop(self) -> None:
        """Stop all, last tier first; whoever has not gone after its time is killed."""
        self._stopping.set()
        for tasks in reversed(self._tiers):
            names = [task.get_name().removeprefix("child ") for task in tasks]
            await asyncio.gather(*(self._stop_one(self._running[name]) for name in names))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def process_id(self, name: str) -> int | None:
        """Return the process id of a child, None while it is not running."""
        process = self._running[name].process
        return process.pid if process and process.returncode is None else None

    async def _wait_ready(self, child: Child) -> None:
        running = self._running[child.name]
        while not await child.ready():
            if running.why_not:
                raise ChildFailedError(f"{child.name} cannot be started: {running.why_not}")
            process = running.process
            if process is not None and process.returncode is not None:
                last = "\n  ".join(running.lines[-8:])
                msg = f"{child.name} ended with code {process.returncode} before it was ready:\n  {last}"
                raise ChildFailedError(msg)
            await asyncio.sleep(0.05)

    async def _keep_running(self, running: _Running) -> None:
        wait_s = RESTART_FIRST_S
        while not self._stopping.is_set():
            try:
                await self._run_once(running)
            except (OSError, RuntimeError) as error:
                running.why_not = str(error)
                log.warning("cannot be started", child=running.child.name, why=str(error))
            if self._stopping.is_set():
                return
            lived_s = time.monotonic() - running.started_at
            wait_s = RESTART_FIRST_S if lived_s > SETTLED_S else min(2 * wait_s, RESTART_MOST_S)
            code = running.process.returncode if running.process else None
            log.warning("restarting", child=running.child.name, code=code, wait_s=wait_s)
            await asyncio.sleep(wait_s)

    async def _run_once(self, running: _Running) -> None:
        child = running.child
        running.started_at = time.monotonic()
        if child.prepare is not None:
            await asyncio.to_thread(child.prepare)
        async with _pipe() as (output, write_end):
            try:
                process = await asyncio.create_subprocess_exec(
                    *child.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=write_end,
                    stderr=write_end,
                    env=None if child.environment is None else dict(child.environment),
                    start_new_session=True,
                    cwd=child.folder,
                    preexec_fn=_die_with_parent,
                )
            finally:
                os.close(write_end)
            running.process = process
            self._pid_file(child.name).write_text(f"{process.pid} {_born(process.pid)}")
            copying = asyncio.create_task(self._copy_output(running, output))
            try:
                await process.wait()
                # Its own children may hold the output open long after it has died.
                await asyncio.wait({copying}, timeout=LAST_WORDS_S)
            finally:
                copying.cancel()
                await asyncio.gather(copying, return_exceptions=True)
        self._pid_file(child.name).unlink(missing_ok=True)

    async def _copy_output(self, running: _Running, output: asyncio.StreamReader) -> None:
        path = self._folder / "logs" / f"{running.child.name}.log"
        handler = RotatingFileHandler(path, maxBytes=10_000_000, backupCount=3)
        try:
            while True:
                try:
                    line = await output.readline()
                except ValueError:  # a line longer than the reader's limit: the rest follows
                    continue
                if not line:
                    return
                text = line.decode(errors="replace").rstrip()
                running.lines = [*running.lines[-20:], text]
                handler.emit(logging.LogRecord("", logging.INFO, "", 0, text, None, None))
        finally:
            handler.close()

    async def _stop_one(self, running: _Running) -> None:
        process = running.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(running.child.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                log.warning("killing what did not stop", child=running.child.name)
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    def _pid_file(self, name: str) -> Path:
        return self._folder / "run" / f"{name}.pid"


@contextlib.asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """Give the reader of a pipe and its other end, which the caller closes when a child has it.

    With a pipe of asyncio's own, a process would count as running for as long as anybody holds its output.
    """
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb")
    )
    try:
        yield reader, write_end
    finally:
        transport.close()


def stop_left_overs(folder: Path) -> None:
    """Stop the children a killed supervisor of this data folder left behind, and nobody else's processes."""
    for pid_file in sorted((folder / "run").glob("*.pid")):
        words = pid_file.read_text().split()
        if len(words) == 2 and _born(int(words[0])) == words[1]:  # noqa: PLR2004  number and time of birth
            log.warning("stopping what an earlier run left behind", child=pid_file.stem, pid=words[0])
            _stop_stranger(int(words[0]))
        pid_file.unlink(missing_ok=True)


def _stop_stranger(pid: int) -> None:
    for number, wait_s in ((signal.SIGINT, 3.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if not _born(pid):
                return
            time.sleep(0.05)


def _born(pid: int) -> str:
    """Return when a process started, in the kernel's ticks; with its number that names it for good."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _die_with_parent() -> None:
    """Ask the kernel to stop this child when the supervisor is killed (Linux only)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
