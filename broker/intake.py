"""The hot subscription: many messages received, and acknowledged in one write when they are done with.

An `Intake` outlives its connections as a `broker.bus.Bus` does. When its taker is slower than the broker
it stops reading the socket, so that the broker holds the rest; it never drops a message of QoS 1 that the
broker would not send again.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import structlog

from broker import wire
from broker.bus import KEEPALIVE_S, SESSION_EXPIRY_S, BusAddress, backoff_s
from broker.channels import STATUS, Channel
from broker.inbox import Inbox, Incoming, IncomingBatch
from broker.link import Hello, Link
from broker.messages import encode
from broker.presence import Presence

__all__ = ["Incoming", "IncomingBatch", "Intake"]

CAPACITY: Final = 20_000
CAPACITY_BYTES: Final = 64 * 1024 * 1024
LEAVE_S: Final = 0.7
log = structlog.get_logger()


def utc_now() -> datetime:
    """Return the time, aware UTC."""
    return datetime.now(UTC)


class Intake:
    """Receives some channels under one broker user, whose name is also its client id.

    `persistent` keeps the session, and what is queued for it, for seven days without a connection.
    Reading stops at `capacity` messages (or bytes) not yet taken, and goes on at half of that; what one
    read brings (256 KiB) may come on top. Topics that `wanted` refuses are never seen, and acknowledged
    in their turn. Unless it is `silent` it keeps the retained status of the user. One taker at a time.
    """

    def __init__(  # noqa: PLR0913  each is a setting of its own
        self,
        address: BusAddress,
        username: str,
        password: str,
        *channels: Channel[Any, Any],
        qos: int = 1,
        persistent: bool = True,
        capacity: int = CAPACITY,
        capacity_bytes: int = CAPACITY_BYTES,
        wanted: Callable[[str], bool] | None = None,
        silent: bool = False,
        keepalive_s: int = KEEPALIVE_S,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.address = address
        self.username = username
        self.session_present = False
        filters = tuple(f"{address.root}/{channel.topic.filter()}" for channel in channels)
        status = _Status(address.root, username)
        self._hello = Hello(
            username=username,
            connect=wire.connect(
                username,
                username,
                password,
                clean_start=not persistent,
                session_expiry_s=SESSION_EXPIRY_S if persistent else 0,
                keepalive_s=keepalive_s,
                receive_maximum=min(capacity, wire.RECEIVE_MAXIMUM),
                will=None if silent else status.will,
            ),
            filters=filters,
            subscribe=wire.subscribe(1, filters, qos),
            online=b"" if silent else status.packet(up=True),
            farewell=wire.DISCONNECT if silent else status.packet(up=False) + wire.DISCONNECT,
            keepalive_s=keepalive_s,
        )
        self._inbox = Inbox(address.root, capacity, capacity_bytes, wanted)
        self._now = now
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._enough = asyncio.Event()
        self._enough_at = 1
        self._leaving = False
        self._task: asyncio.Task[None] | None = None
        self._log = log.bind(intake=username)

    async def __aenter__(self) -> Self:
        """Start connecting, for ever, in the background."""
        self._task = asyncio.create_task(self._connect_for_ever(), name=f"intake {self.username}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the broker have all acknowledgements, then disconnect; within a second."""
        self._leaving = True
        try:
            if self._link is not None:
                self._link.leave()
                await asyncio.wait({self._link.ended}, timeout=LEAVE_S)
        finally:
            if self._task is not None:
                self._task.cancel()
                with suppress(asyncio.CancelledError):
                    await self._task

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and knows what we subscribe to."""
        return self._up.is_set()

    async def wait_connected(self) -> None:
        """Wait until `connected`."""
        await self._up.wait()

    @property
    def waiting(self) -> int:
        """How many messages were read and not yet taken."""
        return len(self._inbox)

    @property
    def reading(self) -> bool:
        """Whether what the broker sends is read now: connected, and not full."""
        return self._link is not None and self._link.reading

    async def batch(self, most: int, wait_s: float) -> IncomingBatch:
        """Return 1 to `most` messages: all that come within `wait_s` of the first. Not acknowledged."""
        while True:
            await self._until(1, None)
            await self._until(most, wait_s)
            if len(self._inbox):
                taken = self._inbox.take(most)
                if self._link is not None:
                    self._link.adjust()
                return taken

    def ack(self, batch: IncomingBatch) -> None:
        """Tell the broker that the whole batch is done with, in one write.

        Acknowledge batches in the order they were taken. Nothing happens for a batch of a connection that
        has ended: the broker sends its messages again.
        """
        mids = self._inbox.settle(batch)
        if mids and self._link is not None:
            self._link.write(wire.pubacks(mids))
            self._link.adjust()

    async def _until(self, count: int, wait_s: float | None) -> None:
        """Wait until `count` messages are there, the inbox is full, its connection ended, or for `wait_s`."""
        if len(self._inbox) >= count or self._inbox.full:
            return
        self._enough_at = count
        self._enough.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._enough.wait()

    def _news(self, link: Link) -> None:
        """Act on what a connection has read."""
        if link.up != self._up.is_set():
            self.session_present = link.session_present
            (self._up.set if link.up else self._up.clear)()
        if len(self._inbox) >= self._enough_at or self._inbox.full:
            self._enough.set()

    async def _connect_for_ever(self) -> None:
        attempt = 0
        while not self._leaving:
            link = await self._one_connection()
            if not self._leaving:
                self._log.warning("connection lost or refused", why=link.ended.result(), attempt=attempt)
            attempt = 0 if link.subscribed else attempt + 1
            await asyncio.sleep(backoff_s(attempt, random.random()))  # noqa: S311  jitter, not a secret

    async def _one_connection(self) -> Link:
        """Keep one connection to its end."""
        link = self._link = Link(self._hello, self._inbox, self._now, self._news)
        try:
            await link.live(self.address.host, self.address.port)
        finally:
            self._link = None
            self._up.clear()
            self._inbox.clear()
            self._enough.set()
        return link


class _Status:
    """The retained status of a user, as packets."""

    def __init__(self, root: str, username: str) -> None:
        self._presence = Presence(username, None, "")
        self._topic = f"{root}/{self._presence.where}"
        self.will = wire.Will(self._topic, self._presence.will())

    def packet(self, *, up: bool) -> bytes:
        said = encode(self._presence.now(up=up))
        return wire.publish(self._topic, said, qos=STATUS.qos, mid=1, retain=True)
