"""The connection to the broker: the only file that knows an MQTT client.

Streams and kept state outlive connections: a `Bus` connects for ever, subscribes again, and sends its
retained state again each time, because a restarted broker may have forgotten it.
"""

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from broker.channels import SERVICE, STATUS, Channel, Telemetry
from broker.connection import Connection, LostConnectionError
from broker.messages import Message, ServiceState, encode
from broker.posting import AT_ONCE, Post
from broker.presence import Numbering, Presence
from broker.stream import Delivery, Shared, Stream
from broker.topics import ServiceTopic, Topic

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MOST_S: Final = 15.0
KEEPALIVE_S: Final = 15
SESSION_EXPIRY_S: Final = 7 * 24 * 3600
RECEIVE_MAXIMUM: Final = 2000
KEPT_AT_ONCE: Final = 100
STOP_S: Final = 0.8
_NO_RETAINED: Final = 2  # MQTT 5 retain handling: do not send retained messages on subscribe

Where = TypeVar("Where", bound=Topic)
What = TypeVar("What", bound=Message)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where the broker is, and the root all our topics stand under."""

    host: str
    port: int
    root: str = "enms"


class Bus:
    """A client of the bus under one broker user, whose name is also its client id.

    With `service` it publishes the retained state of that service, `lost` as its last will; otherwise
    the retained status of the client, unless it is `silent`. `persistent` keeps the session, and what
    is queued for it, for seven days without a connection.
    """

    def __init__(
        self,
        address: BusAddress,
        username: str,
        password: str,
        *,
        service: str | None = None,
        version: str = "",
        persistent: bool = False,
        silent: bool = False,
    ) -> None:
        self.address = address
        self.username = username
        self._password = password
        self._persistent = persistent
        self._streams: list[Stream] = []
        self._kept: dict[str, tuple[bytes, Literal[0, 1]]] = {}
        self._dirty: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._clean = asyncio.Event()
        self._up = asyncio.Event()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._presence = None if silent else Presence(username, service, version)
        self.connections = 0
        """How many connections were made so far."""
        self._log = log.bind(bus=username)

    async def __aenter__(self) -> Self:
        """Start connecting, for ever, in the background."""
        self._say(up=True)
        self._task = asyncio.create_task(self._connect_for_ever(), name=f"bus {self.username}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what is kept and not yet sent, say that we stopped, and disconnect; within a second."""
        self._say(up=False)
        if self.connected:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._clean.wait(), STOP_S)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def dependencies(self) -> dict[str, str]:
        """What the service said last of what it depends on."""
        return {} if self._presence is None else self._presence.dependencies

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and all subscriptions are made."""
        return self._up.is_set()

    async def wait_connected(self) -> None:
        """Wait until `connected`."""
        await self._up.wait()

    def subscribe(self, *channels: Channel[Any, Any], capacity: int = 1000, **levels: str) -> Stream:
        """Return a stream of the channels' messages, narrowed to `levels`. Call before entering the bus.

        What several streams take is given to each, and acknowledged when all have acknowledged it.
        """
        stream = Stream(channels, capacity, **levels)
        self._streams.append(stream)
        return stream

    async def publish(
        self, channel: Channel[Where, What], where: Where, message: What, *, correlation: bytes = b""
    ) -> None:
        """Publish an event; returns when the broker has it, however long that takes."""
        await self._deliver(channel, str(where), encode(message), correlation)

    async def send(self, channel: Channel[Where, Telemetry], where: Where, body: object) -> None:
        """Publish telemetry: an object, a list of objects, or a bare number."""
        await self._deliver(channel, str(where), encode(body))

    async def send_raw(self, channel: Channel[Where, Any], topic: str, payload: bytes) -> None:
        """Publish bytes under the root as they are, as the tests of the other side need it."""
        await self._deliver(channel, topic, payload)

    async def post(self, posts: Iterable[Post], at_once: int = AT_ONCE) -> None:
        """Publish messages at QoS 1 as they are, in order; returns when the broker has all of them.

        At most `at_once` are under way. Raises LostConnectionError when there is no connection, or it ends:
        then nobody knows which of the messages arrived.
        """
        connection = self._connection
        if connection is None or not self.connected:
            raise LostConnectionError
        await connection.post(self.address.root, posts, at_once)

    def number(self, numbering: Numbering) -> None:
        """Say in the client's retained status how it numbers its messages, now and at every connection."""
        if self._presence is not None and self._presence.numbering != numbering:
            self._presence.numbering = numbering
            self._say(up=True)

    def keep(self, channel: Channel[Where, What], where: Where, message: What | None) -> None:
        """Set retained state, None to remove it: sent now, and again after every reconnection."""
        if not channel.retain:
            msg = f"{channel.name} is an event, not a state: publish it"
            raise ValueError(msg)
        topic = str(where)
        payload = b"" if message is None else encode(message)
        self._kept[topic] = (payload, channel.qos)
        self._dirty[topic] = None
        self._clean.clear()
        self._wake.set()

    def set_state(self, state: ServiceState, dependencies: dict[str, str] | None = None) -> None:
        """Say how the service is: `starting`, `ok` or `degraded`, and what it depends on."""
        if self._presence is not None:
            self._presence.state = state
            self._presence.dependencies = dependencies or {}
        self._say(up=True)

    def _say(self, *, up: bool) -> None:
        if self._presence is not None:
            channel: Channel[Any, Any] = SERVICE if isinstance(self._presence.where, ServiceTopic) else STATUS
            self.keep(channel, self._presence.where, self._presence.now(up=up))
            if self._presence.numbering is not None:
                self.keep(STATUS, self._presence.status_where, self._presence.status(up=up))

    async def _deliver(
        self, channel: Channel[Any, Any], topic: str, payload: bytes, correlation: bytes = b""
    ) -> None:
        wanted: dict[str, int | bytes] = {}
        if channel.expiry_s is not None:
            wanted["MessageExpiryInterval"] = channel.expiry_s
        if correlation:
            wanted["CorrelationData"] = correlation
        properties = _properties(PacketTypes.PUBLISH, **wanted) if wanted else None
        while True:
            await self._up.wait()
            connection = self._connection
            if connection is None:
                continue
            try:
                await connection.call(
                    connection.client.publish(
                        f"{self.address.root}/{topic}", payload, qos=channel.qos, properties=properties
                    )
                )
            except (aiomqtt.MqttError, LostConnectionError):
                await asyncio.sleep(0.05)
            else:
                return

    async def _connect_for_ever(self) -> None:
        attempt = 0
        while True:
            try:
                await self._one_connection()
                attempt = 0
            except (aiomqtt.MqttError, LostConnectionError, OSError) as error:
                self._log.warning("connection lost or refused", why=str(error), attempt=attempt)
                attempt = 0 if self._up.is_set() else attempt + 1
            finally:
                self._up.clear()
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
            await asyncio.sleep(backoff_s(attempt, random.random()))  # noqa: S311  jitter, not a secret

    async def _one_connection(self) -> None:
        async with self._client() as client:
            self._connection = connection = Connection(client)
            await self._make_subscriptions(client)
            self._dirty = dict.fromkeys(self._kept)
            self._wake.set()
            self.connections += 1
            self._up.set()
            self._log.info("connected")
            keeper = asyncio.create_task(self._send_kept(connection), name=f"kept state of {self.username}")
            try:
                async for message in client.messages:
                    await self._dispatch(message, connection)
            finally:
                connection.close()
                keeper.cancel()
                with suppress(asyncio.CancelledError, aiomqtt.MqttError, LostConnectionError):
                    await keeper
                _forget_outcome(client)

    def _client(self) -> aiomqtt.Client:
        properties = _properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=SESSION_EXPIRY_S if self._persistent else 0,
            ReceiveMaximum=RECEIVE_MAXIMUM,
        )
        will = None
        if self._presence is not None:
            topic = f"{self.address.root}/{self._presence.where}"
            will = aiomqtt.Will(topic, self._presence.will(), qos=1, retain=True)
        client = aiomqtt.Client(
            self.address.host,
            self.address.port,
            username=self.username,
            password=self._password,
            identifier=self.username,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=not self._persistent,
            properties=properties,
            keepalive=KEEPALIVE_S,
            max_inflight_messages=RECEIVE_MAXIMUM,
            will=will,
        )
        client.pending_calls_threshold = RECEIVE_MAXIMUM
        client._client.manual_ack_set(on=True)  # noqa: SLF001  aiomqtt has no manual acknowledgement
        return client

    async def _make_subscriptions(self, client: aiomqtt.Client) -> None:
        for stream in self._streams:
            for one in stream.filters:
                options = SubscribeOptions(one.qos, retainHandling=0 if one.retained else _NO_RETAINED)
                codes = await client.subscribe(f"{self.address.root}/{one.topic}", options=options)
                if any(getattr(code, "is_failure", False) for code in codes):
                    msg = f"the broker does not let {self.username} read {one.topic}"
                    raise aiomqtt.MqttError(msg)

    async def _dispatch(self, message: aiomqtt.Message, connection: Connection) -> None:
        topic = message.topic.value[len(self.address.root) + 1 :]
        payload = message.payload if isinstance(message.payload, bytes) else b""
        takers = [stream for stream in self._streams if stream.takes(topic)]
        said: Any = message.properties
        answer_to = str(getattr(said, "ResponseTopic", ""))
        delivery = Delivery(
            topic,
            payload,
            message.retain,
            datetime.now(UTC),
            message.qos,
            message.mid,
            connection if len(takers) <= 1 else Shared(connection, len(takers)),
            user=tuple(getattr(said, "UserProperty", ())),
            response_topic=under(self.address.root, answer_to),
            correlation=bytes(getattr(said, "CorrelationData", b"")),
        )
        for stream in takers:
            await stream.put(delivery)
        if not takers:
            delivery.ack()

    async def _send_kept(self, connection: Connection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._dirty:
                sending = {topic: self._kept[topic] for topic in islice(self._dirty, KEPT_AT_ONCE)}
                posts = [Post(topic, what, qos=qos, retain=True) for topic, (what, qos) in sending.items()]
                await connection.post(self.address.root, posts, KEPT_AT_ONCE)
                for topic, sent in sending.items():
                    if self._kept[topic] is sent:
                        del self._dirty[topic]
            self._clean.set()


def _forget_outcome(client: aiomqtt.Client) -> None:
    """Read how the connection ended, or asyncio complains that nobody did."""
    ended = client._disconnected  # noqa: SLF001
    if ended.done():
        ended.exception()


def under(root: str, topic: str) -> str:
    """Return the topic relative to the root, empty where it stands elsewhere."""
    return topic[len(root) + 1 :] if topic.startswith(f"{root}/") else ""


def _properties(packet: int, **values: int | bytes) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def backoff_s(attempt: int, jitter: float) -> float:
    """Return the wait before connection attempt `attempt` (0 is the first again), `jitter` in 0..1.

    Doubles from 0.2 s to a cap of 15 s, then takes between half and all of that.
    """
    longest = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(attempt, 16))
    return longest * (0.5 + 0.5 * jitter)
