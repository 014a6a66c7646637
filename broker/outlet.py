"""Retained state, sent fast: many topics of which only the newest value counts.

An `Outlet` outlives its connections as a `broker.bus.Bus` does, and `keep` means the same on both; this
one costs a fraction of it, for those who keep thousands of topics a second.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import structlog

from broker import wire
from broker.bus import KEEPALIVE_S, BusAddress, backoff_s
from broker.channels import Channel
from broker.inbox import Inbox
from broker.link import Hello, Link
from broker.messages import Message, encode
from broker.topics import Topic
from broker.wire_parts import FAILURE, explain, text

WINDOW: Final = 500
"""So many messages of QoS 1 may be under way, unless the broker takes fewer."""
AT_ONCE: Final = 100
"""So many packets make one write, a millisecond of work before others get their turn."""
AT_ONCE_BYTES: Final = 256 * 1024
"""After so many bytes a write takes no further packet."""
STOP_S: Final = 0.7
CLOSE_S: Final = 0.2
_HEAD_BYTES: Final = 8  # of a packet at most, besides topic and payload
Where = TypeVar("Where", bound=Topic)
What = TypeVar("What", bound=Message)
log = structlog.get_logger()


def utc_now() -> datetime:
    """Return the time, aware UTC."""
    return datetime.now(UTC)


class Outlet:
    """Publishes retained state under one broker user, whose name is also its client id.

    What is kept while the broker is away, or slower than we are, waits as the newest value of its topic:
    memory is bounded by the topics there are. It keeps no session, and no status of its user.
    """

    def __init__(
        self,
        address: BusAddress,
        username: str,
        password: str,
        *,
        window: int = WINDOW,
        keepalive_s: int = KEEPALIVE_S,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.address = address
        self.username = username
        self._hello = Hello(
            username=username,
            connect=wire.connect(
                username, username, password, clean_start=True, session_expiry_s=0, keepalive_s=keepalive_s
            ),
            filters=(),
            subscribe=b"",
            online=b"",
            farewell=wire.DISCONNECT,
            keepalive_s=keepalive_s,
        )
        self._inbox = Inbox(address.root, 1, 1, wanted=lambda _: False)  # nothing is subscribed to
        self._window = window
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._dirty: dict[str, _Kept] = {}
        self._unanswered: dict[int, _Kept] = {}
        self._mids: list[int] = []
        self._refused: set[str] = set()
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._clean = asyncio.Event()
        self._turn: asyncio.Handle | None = None
        self._leaving = False
        self._task: asyncio.Task[None] | None = None
        self._log = log.bind(outlet=username)

    async def __aenter__(self) -> Self:
        """Start connecting, for ever, in the background."""
        self._task = asyncio.create_task(self._connect_for_ever(), name=f"outlet {self.username}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what is kept and not yet sent, then disconnect; within a second."""
        try:
            if self._link is not None and self.connected:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._until_clean(), STOP_S)
            self._leaving = True
            if self._link is not None:
                self._link.leave()
                await asyncio.wait({self._link.ended}, timeout=CLOSE_S)
        finally:
            self._leaving = True
            if self._task is not None:
                self._task.cancel()
                with suppress(asyncio.CancelledError):
                    await self._task
            if self._turn is not None:
                self._turn.cancel()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us."""
        return self._up.is_set()

    async def wait_connected(self) -> None:
        """Wait until `connected`."""
        await self._up.wait()

    @property
    def pending(self) -> int:
        """How many topics wait to be sent, or for the broker's answer."""
        answers = {one.name for one in self._unanswered.values()}
        return len(self._dirty) + len(answers - self._dirty.keys())

    def keep(self, channel: Channel[Where, What], where: Where, message: What | None) -> None:
        """Set retained state, None to remove it: sent soon, and again after every reconnection.

        The message is encoded when it is sent, and not at all when a newer one comes before that.
        Raises ValueError for a channel that is not a state.
        """
        if not channel.retain:
            msg = f"{channel.name} is an event, not a state: publish it"
            raise ValueError(msg)
        topic = str(where)
        one = self._kept.get(topic)
        if one is None:
            one = self._kept[topic] = _Kept(self.address.root, topic, channel)
        one.message = message
        one.payload = b"" if message is None else None
        self._dirty[topic] = one
        if self._turn is None and self._link is not None and self._link.up:
            self._soon()

    def _soon(self) -> None:
        """Send when those who run now are done, with all that they keep until then."""
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        """Write what is dirty, as much of it as one write, the window and the connection take."""
        self._turn = None
        link = self._link
        if link is None or not link.up or link.choked:
            return
        dirty, mids = self._dirty, self._mids
        packets: list[bytes] = []
        room_bytes = AT_ONCE_BYTES
        for name, one in list(islice(dirty.items(), AT_ONCE)):
            if room_bytes <= 0 or (one.qos and not mids):
                break
            del dirty[name]
            if self._fits(one, link):
                mid = mids.pop() if one.qos else 0
                if mid:
                    self._unanswered[mid] = one
                packet = wire.retain(one.topic, one.payload or b"", mid)
                packets.append(packet)
                room_bytes -= len(packet)
        link.write(b"".join(packets))
        if dirty and mids:
            self._soon()
        self._note_clean()

    def _fits(self, one: "_Kept", link: Link) -> bool:
        """Encode the state where it is not yet; whether it can be sent."""
        if one.payload is None:
            try:
                one.payload = encode(one.message)
            except (TypeError, ValueError) as error:  # a text with a lone surrogate, for one
                del self._kept[one.name]
                self._refuse(one, str(error))
                return False
            one.message = None
        size = _HEAD_BYTES + len(one.topic) + len(one.payload)
        if size <= link.packet_maximum:
            return True
        self._refuse(one, f"a packet of {size} bytes; the broker takes {link.packet_maximum}")
        return False

    def _answered(self, answer: wire.Puback) -> None:
        """Take note that the broker has a message, or will not have it."""
        one = self._unanswered.pop(answer.mid, None)
        if one is None:
            return
        self._mids.append(answer.mid)
        if answer.reason >= FAILURE:
            self._refuse(one, explain(answer.reason))

    def _refuse(self, one: "_Kept", why: str) -> None:
        """Say so once a channel; the state is not sent again until it changes or the connection does."""
        if one.channel not in self._refused:
            self._refused.add(one.channel)
            self._log.warning("state refused", topic=one.name, why=why)

    def _note_clean(self) -> None:
        if not self._dirty and not self._unanswered:
            self._clean.set()

    async def _until_clean(self) -> None:
        while self.connected and (self._dirty or self._unanswered):
            self._clean.clear()
            await self._clean.wait()

    def _news(self, link: Link) -> None:
        """Act on what a connection has read, or on its taking more again."""
        if link is not self._link:
            return
        if link.up and not self._up.is_set():
            # A broker that was restarted may have forgotten everything.
            self._mids = list(range(min(self._window, link.receive_maximum), 0, -1))
            self._up.set()
        if self._dirty:
            self._soon()
        self._note_clean()

    async def _connect_for_ever(self) -> None:
        attempt = 0
        while not self._leaving:
            link = await self._one_connection()
            if not self._leaving:
                self._log.warning("connection lost or refused", why=link.ended.result(), attempt=attempt)
            attempt = 0 if link.subscribed else attempt + 1
            await asyncio.sleep(backoff_s(attempt, random.random()))  # noqa: S311  jitter, not a secret

    async def _one_connection(self) -> Link:
        """Keep one connection to its end; after it, all that is kept is to be sent again."""
        link = self._link = Link(self._hello, self._inbox, self._now, self._news, self._answered)
        try:
            await link.live(self.address.host, self.address.port)
        finally:
            self._link = None
            self._up.clear()
            self._clean.set()
            self._inbox.clear()
            self._unanswered.clear()
            self._dirty = dict(self._kept)
        return link


class _Kept:
    """What a topic is to say: a message, or its encoded form once it was sent."""

    __slots__ = ("channel", "message", "name", "payload", "qos", "topic")

    def __init__(self, root: str, name: str, channel: Channel[Any, Any]) -> None:
        self.name = name
        self.topic = text(f"{root}/{name}")
        self.channel = channel.name
        self.qos = channel.qos
        self.message: Message | None = None
        self.payload: bytes | None = b""
