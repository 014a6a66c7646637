"""Messages as they came from the broker, and streams of them that outlive connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from broker.channels import Channel, Telemetry
from broker.messages import Message, decode
from broker.topics import Topic, matches

Where = TypeVar("Where", bound=Topic)
What = TypeVar("What", bound=Message)


class Connection(Protocol):
    """What a message needs of the connection it came on."""

    def ack(self, mid: int, qos: int) -> None:
        """Acknowledge; nothing happens when the connection is gone."""


class Shared:
    """A connection of which several streams took one message: it is acknowledged when all of them did."""

    def __init__(self, connection: Connection, takers: int) -> None:
        self._connection = connection
        self._left = takers

    def ack(self, mid: int, qos: int) -> None:
        """Acknowledge for one of them."""
        self._left -= 1
        if self._left == 0:
            self._connection.ack(mid, qos)


@dataclass(frozen=True, slots=True)
class Filter:
    """One subscription; `retained` says whether the broker shall send what it holds."""

    topic: str
    qos: int
    retained: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it came: `topic` is relative to the root, `arrived` is UTC.

    `user` are its user properties; `response_topic` is relative to the root too, empty where there is none
    or it stands elsewhere; `correlation` goes back with the answer. All three are MQTT 5's.
    """

    topic: str
    payload: bytes
    retained: bool
    arrived: datetime
    qos: int
    mid: int
    connection: Connection
    user: tuple[tuple[str, str], ...] = ()
    response_topic: str = ""
    correlation: bytes = b""

    def ack(self) -> None:
        """Tell the broker that the message is done with; nothing happens if its connection is gone."""
        if self.qos:
            self.connection.ack(self.mid, self.qos)

    def read(self, channel: Channel[Where, What]) -> tuple[Where, What]:
        """Parse topic and payload as the channel's. Raises BadTopicError or BadMessageError."""
        return channel.topic.parse(self.topic), decode(channel.message, self.payload)


class Stream:
    """Messages of some channels, across reconnections; bounded: when full, the broker has to wait."""

    def __init__(self, channels: tuple[Channel[Any, Any], ...], capacity: int, **levels: str) -> None:
        self.filters = tuple(
            Filter(
                channel.topic.filter(
                    **{k: v for k, v in levels.items() if f"<{k}>" in channel.topic.pattern}
                ),
                channel.qos,
                retained=channel.message is not Telemetry,
            )
            for channel in channels
        )
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue(capacity)

    def takes(self, topic: str) -> bool:
        """Whether this stream subscribed to `topic` (relative to the root)."""
        return any(matches(one.topic, topic) for one in self.filters)

    async def put(self, delivery: Delivery) -> None:
        """Hand in a message; waits while the stream is full."""
        await self._queue.put(delivery)

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        """Yield for ever; each is acknowledged when the next is asked for."""
        while True:
            delivery = await self._queue.get()
            yield delivery
            delivery.ack()

    async def batch(self, most: int, wait_s: float) -> list[Delivery]:
        """Return 1 to `most` messages: all there are within `wait_s` of the first. Not acknowledged."""
        batch = [await self._queue.get()]
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while len(batch) < most:
                    batch.append(await self._queue.get())
        return batch
