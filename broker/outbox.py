"""What a source keeps of what it sends until it is told that the database has it.

A message is in the file first and published after. Those that come while the file is being written to are
written together next, so `put` takes as long as one or two commits (some milliseconds), and a source that is
killed loses no more than the messages whose `put` had not returned.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, auto
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import structlog

from broker.channels import Channel
from broker.outbox_file import (
    Entry,
    Held,
    Limits,
    OutboxError,
    OutboxFile,
    OutboxFullDiskError,
    OutboxInUseError,
    size_of,
)
from broker.telemetry import MAX_BYTES
from broker.topics import Topic

__all__ = ["Entry", "Outbox", "OutboxError", "OutboxInUseError", "WhenFull"]

DEFAULT_LIMITS: Final = Limits(rows=1_000_000, size_bytes=256 * 1024 * 1024)
READ_ROWS: Final = 500
READ_BYTES: Final = 4 * 1024 * 1024
AGAIN_S: Final = 1.0
CLOSE_S: Final = 3.0

Where = TypeVar("Where", bound=Topic)
Result = TypeVar("Result")


class WhenFull(Enum):
    """What becomes of a new message when the outbox is full."""

    WAIT = auto()
    """It waits until the database has some of the older ones."""
    DROP_OLDEST = auto()
    """The oldest ones are forgotten, counted and logged."""


class Outbox:
    """An outbox in a file. `boot` and the numbers, from 1 on, live as long as the file does."""

    def __init__(
        self,
        path: Path,
        when_full: WhenFull,
        limits: Limits = DEFAULT_LIMITS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self.dropped = 0
        """Messages that were forgotten for want of room since this was opened."""
        self._when_full = when_full
        self._limits = limits
        self._now = now
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._file: OutboxFile
        self._next_seq = 1
        self._given: list[tuple[Entry, ...]] = []
        self._given_size = Held(0, 0, 0, 0)
        self._committed = 0
        self._work = asyncio.Event()
        self._changed = asyncio.Condition()
        self._failure: OutboxError | None = None
        self._writer: asyncio.Task[None] | None = None
        self._log = structlog.get_logger().bind(outbox=str(path))

    async def __aenter__(self) -> Self:
        """Open the file, or make it. Raises OutboxInUseError."""
        try:
            self._file = await self._in_thread(OutboxFile.open, self.path, self._now())
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        self._next_seq = self._file.held.next_seq
        self._writer = asyncio.create_task(self._write_for_ever(), name=f"outbox {self.path.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what was put and is not in the file yet, within 3 s, and close."""
        if self._writer is not None:
            with suppress(TimeoutError, OutboxError):
                async with asyncio.timeout(CLOSE_S):
                    await self._until(lambda: not self._work.is_set())
            self._writer.cancel()
            with suppress(asyncio.CancelledError):
                await self._writer
        await self._in_thread(self._file.close)
        self._thread.shutdown()

    @property
    def boot(self) -> str:
        """What tells this file's numbers from those of any other."""
        return self._file.boot

    @property
    def held(self) -> Held:
        """What is in the file."""
        return self._file.held

    async def put(self, channel: Channel[Where, Any], where: Where, payload: bytes) -> int:
        """Keep a message to be published; returns its number when it is in the file."""
        return await self.put_all([(channel, where, payload)])

    async def put_all(self, messages: Iterable[tuple[Channel[Where, Any], Where, bytes]]) -> int:
        """Keep messages to be published, in order; returns the last one's number when all are in the file.

        Raises ValueError for a channel that is not for numbered events, or a message no broker would take.
        """
        wanted = [(str(where), _checked(channel, payload)) for channel, where, payload in messages]
        if not wanted:
            return self._next_seq - 1
        if self._when_full is WhenFull.WAIT:
            rows, size = len(wanted), sum(size_of(*one) for one in wanted)
            await self._until(lambda: self._has_room(rows, size))
        last = self._give(wanted)
        await self._until(lambda: self._file.held.next_seq > last)
        return last

    async def read(self, after: int, most: int = READ_ROWS) -> list[Entry]:
        """Return the next messages above a number, in order: at most `most`, and about 4 MiB."""
        return await self._in_thread(partial(self._file.read, after, most, READ_BYTES))

    async def wait_above(self, seq: int, limit_s: float) -> bool:
        """Wait until the file holds a message above a number; whether it does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._until(lambda: self._file.held.next_seq > seq + 1)
        return self._file.held.next_seq > seq + 1

    def forget(self, boot: str, seq: int) -> bool:
        """Forget what is at or below a mark of this boot, soon; whether there is something to forget."""
        if boot != self.boot or seq >= self._next_seq or seq < max(self.held.first, self._committed + 1):
            return False
        self._committed = seq
        self._work.set()
        return True

    async def wait_rows(self, most: int) -> None:
        """Wait until the file holds no more than `most` messages."""
        await self._until(lambda: self._file.held.rows <= most)

    async def wait_committed(self, seq: int) -> None:
        """Wait until everything up to a number was forgotten."""
        await self._until(lambda: self._file.held.first > seq)

    async def _until(self, true: Callable[[], bool]) -> None:
        """Wait for what only a write makes true. Raises OutboxError where there will be none."""
        async with self._changed:
            await self._changed.wait_for(lambda: true() or self._failure is not None)
        if self._failure is not None:
            raise self._failure

    def _has_room(self, rows: int, size: int) -> bool:
        held, given, most = self._file.held, self._given_size, self._limits
        fits = held.rows + given.rows + rows <= most.rows
        fits = fits and held.size_bytes + given.size_bytes + size <= most.size_bytes
        # What is larger than the whole outbox goes in alone.
        return fits or not (held.rows or given.rows)

    def _give(self, wanted: list[tuple[str, bytes]]) -> int:
        entries = tuple(Entry(seq, *one) for seq, one in enumerate(wanted, self._next_seq))
        self._next_seq += len(entries)
        self._given.append(entries)
        size = sum(size_of(*one) for one in wanted)
        self._given_size = Held(
            self._given_size.rows + len(entries), self._given_size.size_bytes + size, 0, 0
        )
        self._work.set()
        return self._next_seq - 1

    async def _write_for_ever(self) -> None:
        failing = False
        dropping = False
        while True:
            await self._work.wait()
            given = list(self._given)
            entries = [entry for lot in given for entry in lot]
            limits = self._limits if self._when_full is WhenFull.DROP_OLDEST else None
            committed = self._committed
            try:
                dropped = await self._in_thread(partial(self._file.write, entries, committed, limits))
            except OutboxFullDiskError as error:
                if not failing:
                    self._log.error("the outbox waits until the disk takes it", why=str(error))
                failing = True
                await asyncio.sleep(AGAIN_S)
                continue
            except OutboxError as error:
                self._failure = error
                await self._tell_waiting()
                return
            failing = False
            del self._given[: len(given)]
            left = [entry for lot in self._given for entry in lot]
            self._given_size = Held(len(left), sum(size_of(one.topic, one.payload) for one in left), 0, 0)
            if not left and committed == self._committed:
                self._work.clear()
            self.dropped += dropped
            if dropped and not dropping:
                self._log.warning("the outbox is full: its oldest messages are lost from now on")
            elif dropping and entries and not dropped:
                self._log.warning("the outbox has room again", lost=self.dropped)
            dropping = bool(dropped) or (dropping and not entries)
            await self._tell_waiting()

    async def _tell_waiting(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _in_thread(self, call: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)


def _checked(channel: Channel[Any, Any], payload: bytes) -> bytes:
    if channel.retain or channel.qos == 0:
        raise ValueError(f"{channel.name} is no event at QoS 1, so its messages are not numbered")
    if len(payload) > MAX_BYTES:
        raise ValueError(f"{len(payload)} bytes are more than the {MAX_BYTES} a message may have")
    return payload
