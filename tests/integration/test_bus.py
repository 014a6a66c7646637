"""The connection to the broker, against a real Mosquitto."""

import asyncio
import itertools
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from fixtures.broker import PrivateBroker

from broker.bus import Bus
from broker.channels import ANOMALY, LATEST, SERVICE, TELEMETRY
from broker.connection import LostConnectionError
from broker.messages import Latest, LatestValue, Service
from broker.posting import Post
from broker.roles import Role
from broker.topics import AnomalyTopic, LatestTopic, ServiceTopic, TelemetryTopic

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def heard(broker: PrivateBroker, user: str, topic: str, seconds: float = 1) -> list[str]:
    command = broker.client("mosquitto_sub", user, "-t", topic, "-v", "-W", str(seconds))
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


async def gateway_says_latest(bus: Bus) -> None:
    await bus.wait_connected()
    latest = Latest(machine="press-7", values={"power_kw": LatestValue(ts=NOW, value=1.5)})
    bus.keep(LATEST, LatestTopic("press-7"), latest)


async def test_retained_state_is_there_again_after_the_broker_forgot_it(broker: PrivateBroker) -> None:
    await broker.user("anna", Role.VIEWER)
    async with broker.bus("gateway", service="gateway", version="1") as bus:
        await gateway_says_latest(bus)
        expected = (
            'enms/latest/press-7 {"machine":"press-7","values":'
            '{"power_kw":{"ts":"2026-01-02T03:04:05.678Z","value":1.5}}}'
        )
        assert expected in await asyncio.to_thread(heard, broker, "anna", "enms/latest/#")
        broker.kill()
        (broker.mosquitto.folder / "mosquitto.db").unlink(missing_ok=True)
        broker.start()
        await bus.wait_connected()
        assert expected in await asyncio.to_thread(heard, broker, "anna", "enms/latest/#", 3)


async def test_a_service_that_dies_is_lost_and_one_that_leaves_is_stopped(broker: PrivateBroker) -> None:
    states: asyncio.Queue[str] = asyncio.Queue()
    watcher = broker.bus("detector")
    stream = watcher.subscribe(SERVICE)

    async def watch() -> None:
        async for delivery in stream:
            where, service = delivery.read(SERVICE)
            assert where == ServiceTopic("gateway")
            assert isinstance(service, Service)
            states.put_nowait(service.state)

    async with watcher:
        task = asyncio.create_task(watch())
        async with asyncio.timeout(10):
            async with broker.bus("gateway", service="gateway", version="1") as bus:
                bus.set_state("ok")
                while await states.get() != "ok":
                    pass
            assert await states.get() == "stopped"
            dying = broker.bus("gateway", service="gateway", version="1")
            await dying.__aenter__()
            await dying.wait_connected()
            assert await states.get() == "starting"
            assert dying._connection is not None
            dying._connection.client._client.socket().shutdown(socket.SHUT_RDWR)  # cut, with no DISCONNECT
            assert await states.get() == "lost"
            assert await states.get() == "starting", "it comes back by itself"
            await dying.__aexit__(None, None, None)
        task.cancel()


async def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(broker: PrivateBroker) -> None:
    async def first_batch(count: int, *, ack: bool) -> list[bytes]:
        bus = broker.bus("gateway-ingest", persistent=True)
        stream = bus.subscribe(TELEMETRY)
        async with bus, asyncio.timeout(10):
            await bus.wait_connected()
            got: list[bytes] = []
            while len(got) < count:
                for delivery in await stream.batch(count - len(got), 1):
                    got.append(delivery.payload)
                    if ack:
                        delivery.ack()
        return got

    assert await first_batch(0, ack=True) == []
    async with broker.bus("simulator") as device:
        for number in range(3):
            await device.send(TELEMETRY, TelemetryTopic("press-7"), {"power_kw": number})
    assert await first_batch(3, ack=False) == await first_batch(3, ack=True)
    async with broker.bus("simulator") as device:
        await device.send(TELEMETRY, TelemetryTopic("press-7"), {"power_kw": 9})
    assert await first_batch(1, ack=True) == [b'{"power_kw":9}']


async def test_an_event_published_while_the_broker_is_away_arrives_when_it_is_back(
    broker: PrivateBroker,
) -> None:
    reader = broker.bus("gateway", persistent=True)
    stream = reader.subscribe(ANOMALY)
    async with reader, broker.bus("detector") as writer, asyncio.timeout(30):
        await reader.wait_connected()
        await writer.wait_connected()
        broker.stop()
        sending = asyncio.create_task(writer.send_raw(ANOMALY, str(AnomalyTopic("m")), b"{}"))
        await asyncio.sleep(0)
        assert not sending.done()
        broker.start()
        await sending
        assert (await stream.batch(1, 1))[0].topic == "anomaly/m"


async def test_an_event_cannot_be_kept_as_a_state(broker: PrivateBroker) -> None:
    bus = broker.bus("detector")
    with pytest.raises(ValueError, match="is an event, not a state"):
        bus.keep(ANOMALY, AnomalyTopic("m"), None)


async def test_posts_arrive_in_order_with_their_user_properties(broker: PrivateBroker) -> None:
    reader, writer = broker.bus("gateway"), broker.bus("simulator")
    stream = reader.subscribe(TELEMETRY)
    async with reader, writer, asyncio.timeout(20):
        await reader.wait_connected()
        await writer.wait_connected()
        posts = [
            Post("telemetry/press-7", str(number).encode(), (("seq", str(number)), ("boot", "ä")))
            for number in range(1000)
        ]
        await writer.post(posts, at_once=50)
        heard: list[tuple[bytes, tuple[tuple[str, str], ...]]] = []
        while len(heard) < len(posts):
            heard += [(one.payload, one.user) for one in await stream.batch(1000, 0.1)]
    assert heard == [(post.payload, post.user) for post in posts]


async def test_posting_without_a_broker_says_so_at_once_and_when_it_dies_too(broker: PrivateBroker) -> None:
    def endless() -> Iterator[Post]:
        for number in itertools.count():
            if number == 1000:
                broker.kill()
            yield Post("telemetry/press-7", b"{}")

    async with broker.bus("simulator") as writer, asyncio.timeout(20):
        with pytest.raises(LostConnectionError):
            await writer.post([Post("telemetry/press-7", b"{}")])
        await writer.wait_connected()
        with pytest.raises(LostConnectionError):
            await writer.post(endless())


async def test_what_two_streams_take_reaches_both_and_is_acknowledged_once_both_did(
    broker: PrivateBroker,
) -> None:
    async def twice(*, both: bool) -> list[bytes]:
        bus = broker.bus("gateway", persistent=True)
        streams = [bus.subscribe(TELEMETRY), bus.subscribe(TELEMETRY)]
        async with bus, broker.bus("simulator") as device, asyncio.timeout(20):
            await bus.wait_connected()
            await device.send(TELEMETRY, TelemetryTopic("press-7"), {"power_kw": int(both)})
            found = [(await stream.batch(1, 1))[0] for stream in streams]
            for delivery in found if both else found[:1]:
                delivery.ack()
        return [delivery.payload for delivery in found]

    assert await twice(both=False) == [b'{"power_kw":0}'] * 2
    assert await twice(both=True) == [b'{"power_kw":0}'] * 2, "it was not acknowledged and comes again"
