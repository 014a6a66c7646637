"""Retained state through a real Mosquitto that is killed, forgets, refuses, or stops reading."""

import asyncio
import json
import signal
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

from fixtures.broker import PrivateBroker
from fixtures.gateway import RunningGateway
from fixtures.mqtt_client import PlainClient
from structlog.testing import capture_logs

from broker.channels import LATEST, MACHINE
from broker.messages import Latest, LatestValue, Machine
from broker.outlet import Outlet
from broker.topics import LatestTopic, MachineTopic

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
USER = "gateway-state"
Retained = dict[str, float | str]


def make(broker: PrivateBroker, user: str = USER) -> Outlet:
    return Outlet(broker.address, user, broker.passwords[user])


def keep(outlet: Outlet, number: int, value: float | str) -> None:
    machine = f"press-{number}"
    latest = Latest(machine=machine, values={"power_kw": LatestValue(ts=NOW, value=value)})
    outlet.keep(LATEST, LatestTopic(machine), latest)


async def until(true: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  what it waits for has no event
            await asyncio.sleep(0.01)


def retained(broker: PrivateBroker, filters: str = "enms/latest/+") -> dict[str, bytes]:
    """What a client that comes now is told."""
    with PlainClient(broker.port, "detector", broker.passwords["detector"]) as client:
        client.subscribe(filters)
        return {topic: payload for topic, payload in client.heard(0.5) if payload}


async def values(broker: PrivateBroker) -> Retained:
    found = await asyncio.to_thread(retained, broker)
    return {
        topic.removeprefix("enms/latest/press-"): json.loads(payload)["values"]["power_kw"]["value"]
        for topic, payload in found.items()
    }


def forget(broker: PrivateBroker) -> None:
    """Start the broker again with nothing in its store."""
    broker.kill()
    (broker.mosquitto.folder / "mosquitto.db").unlink(missing_ok=True)
    broker.start()


async def test_thousands_of_topics_are_retained_and_cleared(broker: PrivateBroker) -> None:
    async with make(broker) as outlet:
        for number in range(3000):
            keep(outlet, number, number)
        await until(lambda: not outlet.pending)
        assert await values(broker) == {str(number): number for number in range(3000)}
        for number in range(2990):
            outlet.keep(LATEST, LatestTopic(f"press-{number}"), None)
        await until(lambda: not outlet.pending)
        assert sorted(await values(broker)) == [str(number) for number in range(2990, 3000)]


async def test_a_broker_that_comes_back_empty_has_everything_again(broker: PrivateBroker) -> None:
    async with make(broker) as outlet:
        for number in range(1500):
            keep(outlet, number, number)
        await until(lambda: not outlet.pending)
        await asyncio.to_thread(forget, broker)
        await until(lambda: outlet.connected and not outlet.pending)
        assert await values(broker) == {str(number): number for number in range(1500)}


async def test_after_kills_mid_stream_each_topic_says_what_was_kept_last(broker: PrivateBroker) -> None:
    kept: Retained = {}
    stop = asyncio.Event()

    async def stream(outlet: Outlet) -> None:
        value = 0
        while not stop.is_set():
            for number in range(400):
                if (number + value) % 3:
                    keep(outlet, number, value)
                    kept[str(number)] = value
            value += 1
            await asyncio.sleep(0.005)

    async with make(broker) as outlet:
        streaming = asyncio.create_task(stream(outlet))
        for _ in range(3):
            await until(lambda: outlet.connected and len(outlet._unanswered) > 0)
            await asyncio.to_thread(broker.kill)
            await until(lambda: not outlet.connected)
            await asyncio.to_thread(broker.start)
        await until(lambda: outlet.connected)
        stop.set()
        await streaming
        await until(lambda: outlet.connected and not outlet.pending)
        assert len(kept) == 400
        assert await values(broker) == kept


async def test_while_the_broker_stands_still_memory_does_not_grow_and_the_newest_wins(
    broker: PrivateBroker,
) -> None:
    text = "x" * 10_000
    topics, rounds = 100, 300
    async with make(broker) as outlet:
        await outlet.wait_connected()
        assert broker._process is not None
        broker._process.send_signal(signal.SIGSTOP)
        try:
            tracemalloc.start()
            for number in range(topics * rounds):  # 300 MB
                keep(outlet, number % topics, f"{text}{number}")
                if number % topics == 0:
                    await asyncio.sleep(0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            broker._process.send_signal(signal.SIGCONT)
        assert outlet.pending == topics
        assert peak < 15_000_000
        await until(lambda: not outlet.pending)
        first = topics * (rounds - 1)
        assert await values(broker) == {str(n): f"{text}{first + n}" for n in range(topics)}


async def test_what_waits_when_it_leaves_is_sent(broker: PrivateBroker) -> None:
    started = time.monotonic()
    async with make(broker) as outlet:
        await outlet.wait_connected()
        for number in range(1000):
            keep(outlet, number, number)
    assert time.monotonic() - started < 5
    assert len(await values(broker)) == 1000


async def test_a_broker_that_refuses_one_user_is_told_of_once_and_not_bothered_again(
    broker: PrivateBroker,
) -> None:
    with capture_logs() as logs:
        async with make(broker, "detector-live") as outlet:
            for number in range(10):
                keep(outlet, number, number)
            await until(lambda: outlet.connected and not outlet.pending)
            assert outlet.connected
    refused = [one for one in logs if one["event"] == "state refused"]
    assert [(one["topic"], one["why"]) for one in refused] == [("latest/press-0", "not authorized")]
    assert await values(broker) == {}


async def test_a_state_larger_than_the_broker_takes_costs_no_connection(broker: PrivateBroker) -> None:
    with capture_logs() as logs:
        async with make(broker) as outlet:
            large = Machine(machine="press-1", name="x" * 5_000_000, first_seen=NOW)
            outlet.keep(MACHINE, MachineTopic("press-1"), large)
            keep(outlet, 1, 1)
            await until(lambda: outlet.connected and not outlet.pending)
    assert await values(broker) == {"1": 1}
    assert [one["event"] for one in logs] == ["connected", "state refused"]


def test_the_gateway_tells_a_broker_that_forgot_everything_how_the_machines_are(
    gateway: RunningGateway,
) -> None:
    broker = gateway.broker
    wanted = {f"enms/{kind}/press-7" for kind in ("machine", "latest", "health")}
    with PlainClient(broker.port, "press-7", gateway.passwords["press-7"]) as device:
        device.publish("enms/telemetry/press-7", '{"power_kw": 31.5}')

    def told(seconds: float = 20) -> dict[str, bytes]:
        deadline = time.monotonic() + seconds
        while True:
            with PlainClient(broker.port, "detector", broker.passwords["detector"]) as client:
                for one in wanted:
                    client.subscribe(one.replace("press-7", "+"))
                found = dict(client.heard(0.3))
            if wanted <= set(found):
                return found
            assert time.monotonic() < deadline, set(found)

    before = told()
    forget(broker)
    after = told()
    assert json.loads(after["enms/latest/press-7"])["values"]["power_kw"]["value"] == 31.5
    assert after["enms/machine/press-7"] == before["enms/machine/press-7"]
    gateway.until_healthy()
