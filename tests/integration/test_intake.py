"""The hot subscription, against a real Mosquitto and against servers that misbehave."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import pytest
from fixtures.broker import PrivateBroker, free_port
from fixtures.mqtt_client import PlainClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from structlog.testing import capture_logs

from broker.bus import BusAddress
from broker.channels import ANNOUNCE, METRIC, REJECTED, STATUS, TELEMETRY
from broker.intake import Incoming, Intake

USER = "gateway-ingest"


def make(broker: PrivateBroker, *channels: Any, user: str = USER, **options: Any) -> Intake:
    return Intake(broker.address, user, broker.passwords[user], *(channels or (TELEMETRY,)), **options)


async def until(true: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  what it waits for has no event
            await asyncio.sleep(0.01)


async def take(intake: Intake, count: int, *, ack: bool = True, most: int = 500) -> list[Incoming]:
    got: list[Incoming] = []
    async with asyncio.timeout(60):
        while len(got) < count:
            batch = await intake.batch(most, 0.02)
            got += batch.messages
            if ack:
                intake.ack(batch)
    return got


async def nothing_more(intake: Intake) -> bool:
    """Whether all that was sent has been taken: a message sent now is the next to come."""
    return [one.payload for one in await take(intake, 1)] == [b"the end"]


class Sender:
    """Publishes at QoS 1 as the simulator; returns when the broker has it all."""

    def __init__(self, broker: PrivateBroker) -> None:
        self._client = PlainClient(broker.port, "simulator", broker.passwords["simulator"])

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(self, topic: str, payload: bytes, user: tuple[tuple[str, str], ...] = ()) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.UserProperty = list(user)
        self._info = self._client._client.publish(
            f"enms/{topic}", payload, qos=1, properties=properties if user else None
        )

    async def wait(self) -> None:
        await asyncio.to_thread(self._info.wait_for_publish, 20)

    async def numbers(self, count: int, topic: str = "telemetry/press-7") -> None:
        for number in range(count):
            self.send(topic, str(number).encode())
        await self.wait()

    async def the_end(self) -> None:
        self.send("telemetry/press-7", b"the end")
        await self.wait()


async def prepared(broker: PrivateBroker, *channels: Any, **options: Any) -> None:
    """Let the broker know the session, and leave again."""
    async with make(broker, *channels, **options) as intake, asyncio.timeout(60):
        await intake.wait_connected()


def payloads(messages: list[Incoming]) -> list[int]:
    return [int(one.payload) for one in messages]


async def test_messages_come_as_another_client_sent_them(broker: PrivateBroker) -> None:
    large = json.dumps({"x": "y" * 200_000}).encode()
    user = (("client", "press-7"), ("boot", "b1"), ("seq", "42"))
    async with make(broker, TELEMETRY, METRIC, ANNOUNCE) as intake:
        await intake.wait_connected()
        with Sender(broker) as sender:
            sender.send("telemetry/press-7", b'{"power_kw":1}', user)
            sender.send("telemetry/press-7/power_kw", b"2.5")
            sender.send("announce/press-7", b"{}")
            sender.send("telemetry/pr\u00e9ss", b"")
            sender.send("telemetry/press-8", large)
            await sender.wait()
            got = await take(intake, 5)
    assert [(one.topic, one.payload) for one in got] == [
        ("telemetry/press-7", b'{"power_kw":1}'),
        ("telemetry/press-7/power_kw", b"2.5"),
        ("announce/press-7", b"{}"),
        ("telemetry/pr\u00e9ss", b""),
        ("telemetry/press-8", large),
    ]
    assert [one.user for one in got] == [user, (), (), (), ()]
    assert all(one.mid and not one.again and not one.retained for one in got)
    assert abs(got[0].arrived.timestamp() - time.time()) < 20


async def test_what_was_retained_before_we_subscribed_is_not_sent(broker: PrivateBroker) -> None:
    with PlainClient(broker.port, "simulator", broker.passwords["simulator"]) as client:
        client.publish("enms/telemetry/press-7", "old", retain=True)
    async with make(broker) as intake:
        await intake.wait_connected()
        with Sender(broker) as sender:
            await sender.the_end()
            assert await nothing_more(intake)


async def test_what_was_not_acknowledged_comes_again_and_says_so_and_what_was_does_not(
    broker: PrivateBroker,
) -> None:
    await prepared(broker)
    with Sender(broker) as sender:
        await sender.numbers(300)
        async with make(broker) as intake:
            assert payloads(await take(intake, 300, ack=False)) == list(range(300))
            assert intake.session_present
        async with make(broker) as intake:
            again = await take(intake, 300)
            assert payloads(again) == list(range(300))
            assert all(one.again for one in again)
        async with make(broker) as intake:
            await sender.the_end()
            assert await nothing_more(intake)


async def test_an_acknowledgement_of_an_older_connection_is_void(broker: PrivateBroker) -> None:
    await prepared(broker)
    with Sender(broker) as sender:
        await sender.numbers(10)
    async with make(broker) as intake, asyncio.timeout(60):
        old = await intake.batch(10, 5)
        broker.restart()
        await until(lambda: not intake.connected)
        await intake.wait_connected()
        intake.ack(old)
        assert payloads(await take(intake, 10)) == list(range(10))
        with Sender(broker) as sender:
            await sender.the_end()
            assert await nothing_more(intake)


async def test_messages_not_taken_when_the_connection_ended_come_once_and_not_twice(
    broker: PrivateBroker,
) -> None:
    await prepared(broker)
    with Sender(broker) as sender:
        await sender.numbers(50)
    async with make(broker) as intake, asyncio.timeout(60):
        await until(lambda: intake.waiting == 50)
        broker.restart()
        await until(lambda: not intake.connected and intake.waiting == 0)
        assert payloads(await take(intake, 50)) == list(range(50))
        with Sender(broker) as sender:
            await sender.the_end()
            assert await nothing_more(intake)


async def test_a_connection_that_is_cut_again_and_again_under_load_loses_nothing(
    broker: PrivateBroker,
) -> None:
    await prepared(broker)
    seen: set[int] = set()
    cuts = 0
    with Sender(broker) as sender:
        await sender.numbers(10_000)
        async with make(broker) as intake, asyncio.timeout(60):
            while len(seen) < 10_000:
                batch = await intake.batch(200, 0.01)
                seen.update(payloads(batch.messages))
                if cuts < 5 and len(seen) > 1500 * (cuts + 1):
                    assert intake._link is not None
                    assert intake._link._transport is not None
                    intake._link._transport.abort()
                    cuts += 1
                intake.ack(batch)
            await sender.numbers(1, "telemetry/press-8")
            while (batch := await intake.batch(200, 0.01)).messages[-1].topic != "telemetry/press-8":
                intake.ack(batch)
            intake.ack(batch)
        async with make(broker) as intake:
            await sender.the_end()
            assert await nothing_more(intake)
    assert cuts == 5
    assert seen == set(range(10_000))


async def test_a_slow_taker_leaves_the_messages_to_the_broker_and_keeps_its_connection(
    broker: PrivateBroker,
) -> None:
    """Mosquitto cuts who is silent for 1.5 s here, and looks every 5 s: pings go on while nothing is read."""
    payload = b"x" * 2000
    async with make(broker, capacity=100, keepalive_s=1) as intake:
        await intake.wait_connected()
        link = intake._link
        with Sender(broker) as sender:
            for _ in range(8000):
                sender.send("telemetry/press-7", payload)
            await sender.wait()
            await until(lambda: not intake.reading)
            stopped_at = intake.waiting
            silent_until = time.monotonic() + 7
            await until(lambda: time.monotonic() > silent_until)
            assert intake.waiting == stopped_at < 2000
            assert len(await take(intake, 8000)) == 8000
            await sender.the_end()
            assert await nothing_more(intake)
        assert intake._link is link, "the connection was lost on the way"


async def test_large_messages_stop_the_reading_by_their_bytes(broker: PrivateBroker) -> None:
    async with make(broker, capacity_bytes=1_000_000) as intake:
        await intake.wait_connected()
        with Sender(broker) as sender:
            for _ in range(40):
                sender.send("telemetry/press-7", b"x" * 500_000)
            await sender.wait()
            await until(lambda: not intake.reading)
            assert intake.waiting < 10
            assert len(await take(intake, 40)) == 40


async def test_leaving_at_once_loses_no_acknowledgement(broker: PrivateBroker) -> None:
    await prepared(broker)
    with Sender(broker) as sender:
        await sender.numbers(5000)
        for most in (1000, 4000):
            async with make(broker) as intake:
                assert len(await take(intake, most, most=most)) == most
        async with make(broker) as intake:
            await sender.the_end()
            assert await nothing_more(intake)


async def test_what_others_want_is_never_seen_and_does_not_stay_in_the_broker(broker: PrivateBroker) -> None:
    def odd(topic: str) -> bool:
        return int(topic[-1]) % 2 == 1

    await prepared(broker)
    with Sender(broker) as sender:
        for number in range(1000):
            sender.send(f"telemetry/press-{number % 10}", str(number).encode())
        await sender.wait()
        async with make(broker, wanted=odd) as intake:
            assert payloads(await take(intake, 500)) == list(range(1, 1000, 2))
        async with make(broker) as intake:
            await sender.the_end()
            assert await nothing_more(intake)
        async with make(broker, wanted=lambda _: False) as intake:
            await intake.wait_connected()
            await sender.numbers(100)
            await until(lambda: intake._inbox._taken == 100)
            assert intake.waiting == 0
        async with make(broker) as intake:
            await sender.the_end()
            assert await nothing_more(intake)


async def test_at_qos_0_and_with_no_session_only_the_present_comes(broker: PrivateBroker) -> None:
    live: dict[str, Any] = {"user": "gateway-live", "qos": 0, "persistent": False}
    await prepared(broker, **live)
    with Sender(broker) as sender:
        await sender.numbers(3)
        async with make(broker, **live) as intake:
            await intake.wait_connected()
            assert not intake.session_present
            await sender.the_end()
            got = await take(intake, 1)
    assert [(one.payload, one.mid) for one in got] == [(b"the end", 0)]


async def test_the_status_is_online_offline_when_leaving_and_offline_when_cut(broker: PrivateBroker) -> None:
    watcher = broker.bus("detector")
    stream = watcher.subscribe(STATUS, client=USER)

    async def next_state() -> str:
        (delivery,) = await stream.batch(1, 1)
        delivery.ack()
        return str(json.loads(delivery.payload)["state"])

    async with watcher, asyncio.timeout(60):
        await watcher.wait_connected()
        async with make(broker) as intake:
            assert await next_state() == "online"
        assert await next_state() == "offline"
        async with make(broker) as intake:
            assert await next_state() == "online"
            assert intake._link is not None
            assert intake._link._transport is not None
            intake._link._transport.abort()
            assert await next_state() == "offline"
            assert await next_state() == "online", "it comes back by itself"


async def test_a_subscription_that_is_refused_is_told_and_tried_again(broker: PrivateBroker) -> None:
    with capture_logs() as logs:
        async with make(broker, TELEMETRY, REJECTED) as intake:
            await until(lambda: len([one for one in logs if one["log_level"] == "warning"]) >= 2)
            assert not intake.connected
    why = next(one["why"] for one in logs if one["log_level"] == "warning")
    assert why == "the broker does not let gateway-ingest read enms/rejected/+ (not authorized)"


async def test_a_log_in_that_is_refused_is_told_and_tried_again(broker: PrivateBroker) -> None:
    with capture_logs() as logs:
        async with Intake(broker.address, USER, "wrong", TELEMETRY):
            await until(lambda: len(logs) >= 2)
    assert "the broker refused gateway-ingest: not authorized" in logs[0]["why"]


async def test_a_broker_that_comes_late_is_found(broker: PrivateBroker) -> None:
    broker.stop()
    async with make(broker) as intake, asyncio.timeout(60):
        await asyncio.sleep(0)
        broker.start()
        await intake.wait_connected()


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[tuple[BusAddress, list[bytes]]]:
    """A server that gives each connection `answer` to its first words and is silent from then on."""
    heard: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        heard.append(await reader.read(1000))
        writer.write(answer)

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield BusAddress("127.0.0.1", port), heard
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


CONNACK = b"\x20\x03\x00\x00\x00"


@pytest.mark.parametrize("answer", [b"", CONNACK], ids=["before", "after the log-in"])
async def test_a_broker_that_falls_silent_is_left(answer: bytes) -> None:
    async with server(answer) as (address, heard), Intake(address, USER, "x", TELEMETRY, keepalive_s=1):
        await until(lambda: len(heard) >= 2)
    assert all(one.startswith(b"\x10") for one in heard)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(99), "which nobody asked for"),
        (CONNACK + b"\x34\x06\x00\x01t\x00\x01\x00", "QoS 2"),
        (CONNACK + b"\x30\xff\xff\xff\x7f", "a packet of 268435455 bytes"),
        (CONNACK + b"\xe0\x02\x8e\x00", "session taken over"),
        (CONNACK + b"\x90\x03\x00\x01\x00", "does not let"),
    ],
)
async def test_a_broker_that_sends_what_it_may_not_is_left_and_tried_again(answer: bytes, why: str) -> None:
    with capture_logs() as logs:
        async with server(answer) as (address, heard), Intake(address, USER, "x", TELEMETRY):
            await until(lambda: len(heard) >= 2)
    assert why in logs[0]["why"]


async def test_leaving_a_broker_that_does_not_answer_takes_two_seconds_at_most() -> None:
    async with server(CONNACK) as (address, heard):
        intake = Intake(address, USER, "x", TELEMETRY)
        async with intake:
            await until(lambda: bool(heard) and intake._link is not None and intake._link._accepted)
            began = time.monotonic()
        assert time.monotonic() - began < 6
