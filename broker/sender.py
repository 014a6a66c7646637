"""Publishes what an outbox holds, again and again until the gateway says that it is in the database."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import structlog

from broker.bus import Bus
from broker.channels import COMMITTED
from broker.connection import LostConnectionError
from broker.messages import BadMessageError
from broker.outbox import Entry, Outbox
from broker.posting import AT_ONCE, Post
from broker.presence import Numbering
from broker.topics import BadTopicError

STALL_S: Final = 10.0
LONGEST_STALL_S: Final = 3600.0
_LOOK_S: Final = 0.2
log = structlog.get_logger()


class Patience:
    """Decides when to send again what the broker took and no mark covers.

    The wait begins with `first_s` and doubles each time, so that while the gateway is away what is sent
    again stays in proportion to what there is; a mark that moves makes it short again.
    """

    def __init__(self, first_s: float = STALL_S, most_s: float = LONGEST_STALL_S) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._wait_s = first_s
        self._since_s: float | None = None

    def moved(self) -> None:
        """Note that the mark moved."""
        self._wait_s = self._first_s
        self._since_s = None

    def over(self, now_s: float, *, waiting: bool) -> bool:
        """Whether it is time to send again; `waiting` says whether something sent is not yet committed."""
        if not waiting:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        elif now_s - self._since_s >= self._wait_s:
            self._wait_s = min(2.0 * self._wait_s, self._most_s)
            self._since_s = now_s
            return True
        return False


class OutboxSender:
    """Sends an outbox on a bus, in order. Make it before entering the bus; both must be entered to `run`.

    After every connection, and when the mark does not move, everything above the mark is sent again: the
    receiver knows a message by its content, so doubles are harmless.
    """

    def __init__(
        self,
        bus: Bus,
        outbox: Outbox,
        patience: Patience | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._bus = bus
        self._outbox = outbox
        self._marks = bus.subscribe(COMMITTED, client=bus.username)
        self._patience = patience or Patience()
        self._now = now
        self.sent = 0
        """The highest number the broker has taken on this connection."""
        self.marked_at: datetime | None = None
        """When a mark for this outbox came last."""

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name=f"marks of {self._bus.username}")
            while True:
                await self._bus.wait_connected()
                with suppress(LostConnectionError):
                    await self._send(self._bus.connections)

    async def wait_sent(self, seq: int) -> None:
        """Wait until the broker has taken everything up to a number, or the database has."""
        while self.sent < seq and self._outbox.held.first <= seq:  # noqa: ASYNC110  sent comes and goes
            await asyncio.sleep(_LOOK_S)

    async def _listen(self) -> None:
        async for delivery in self._marks:
            if not delivery.payload:
                continue
            try:
                _, mark = delivery.read(COMMITTED)
            except (BadTopicError, BadMessageError) as error:
                log.warning("a mark cannot be read", client=self._bus.username, why=str(error))
                continue
            if mark.boot == self._outbox.boot:
                self.marked_at = self._now()
            if self._outbox.forget(mark.boot, mark.seq):
                self._patience.moved()

    async def _send(self, connection: int) -> None:
        """Send on one connection. Raises LostConnectionError when it is over."""
        now_s = asyncio.get_running_loop().time
        self._begin()
        while self._bus.connected and self._bus.connections == connection:
            if await self._outbox.wait_above(self.sent, _LOOK_S):
                entries = await self._outbox.read(self.sent)
                await self._bus.post(map(self._post, entries), AT_ONCE)
                # Nothing there means that all of it was forgotten meanwhile.
                self.sent = entries[-1].seq if entries else max(self.sent, self._outbox.held.first - 1)
            if self._patience.over(now_s(), waiting=self._outbox.held.first <= self.sent):
                log.info(
                    "sending again what is not known to be stored",
                    client=self._bus.username,
                    above=self._outbox.held.first - 1,
                    messages=self._outbox.held.rows,
                )
                self._begin()

    def _begin(self) -> None:
        """Start with the oldest message there is, and say which that is."""
        first = self._outbox.held.first
        self.sent = first - 1
        self._bus.number(Numbering(self._outbox.boot, first))

    def _post(self, entry: Entry) -> Post:
        numbered = (("client", self._bus.username), ("boot", self._outbox.boot), ("seq", str(entry.seq)))
        return Post(entry.topic, entry.payload, numbered)
