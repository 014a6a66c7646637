"""History asked for over the bus, with the real broker and database."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from fixtures.broker import PrivateBroker
from fixtures.mqtt_client import V5, V311, PlainClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from broker.messages import Reply, decode
from broker.roles import Role
from broker.telemetry import Row
from gateway.commands import GatewayCommands
from gateway.store import Batch, Store

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
ASK = "enms/command/bob/gateway/history"
SPAN = {"machine": "press-7", "start": "2026-03-04T12:00:00Z", "end": "2026-03-04T12:01:00Z"}


@pytest.fixture
async def bob(broker: PrivateBroker, store: Store) -> AsyncIterator[PlainClient]:
    """An engineer, while the gateway listens; press-7 has ten readings."""
    await store.make_partitions(AT)
    times = [AT + timedelta(seconds=second) for second in range(10)]
    rows = [Row("press-7", ts, ts, ("power_kw", "load_pct"), (float(ts.second), 50.0)) for ts in times]
    await store.write(Batch(rows=rows))
    password = await broker.user("bob", Role.ENGINEER)
    bus = broker.bus("gateway", service="gateway", version="1")
    commands = GatewayCommands(bus, store)
    async with bus:
        await asyncio.wait_for(bus.wait_connected(), 10)
        running = asyncio.create_task(commands.run())
        try:
            with PlainClient(broker.port, "bob", password, version=V5, client_id="bob") as client:
                client.subscribe("enms/reply/bob/#")
                yield client
            assert not running.done(), running
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def asked(bob: PlainClient, name: str, **args: str | float | bool) -> Reply:
    body = json.dumps({"id": name, "args": args})
    await asyncio.to_thread(bob.publish, ASK, body)
    return decode(Reply, await asyncio.to_thread(bob.wait_for, f"enms/reply/bob/{name}"))


async def test_history_comes_back_as_columns(bob: PlainClient) -> None:
    reply = await asked(bob, "1", **SPAN, metric="power_kw")
    assert reply.ok, reply
    (series,) = reply.result["series"]
    assert reply.result["machine"] == "press-7"
    assert (series["metric"], series["unit"], series["bucket_s"]) == ("power_kw", "kW", 0)
    assert series["mean"] == [float(second) for second in range(10)]
    assert series["ts"] == [int((AT + timedelta(seconds=s)).timestamp() * 1000) for s in range(10)]
    both = await asked(bob, "2", **SPAN, metric="power_kw, load_pct", points=3)
    assert [len(one["mean"]) <= 3 for one in both.result["series"]] == [True, True]
    every = await asked(bob, "3", **SPAN)
    assert {one["metric"] for one in every.result["series"]} == {"power_kw", "load_pct"}


REFUSED: list[tuple[dict[str, str | float], str, str]] = [
    ({**SPAN, "machine": "press-8"}, "not_found", "there is no machine 'press-8'"),
    ({**SPAN, "metric": "speed"}, "not_found", "it has"),
    ({"metric": "power_kw"}, "bad_argument", "give args.machine"),
    ({**SPAN, "start": "yesterday"}, "bad_argument", "RFC 3339"),
    ({**SPAN, "start": "2026-03-04T12:00:00"}, "bad_argument", "time zone"),
    ({**SPAN, "start": SPAN["end"]}, "bad_argument", "is not before end"),
    ({**SPAN, "points": 1.5}, "bad_argument", "whole number"),
    ({**SPAN, "points": True}, "bad_argument", "whole number"),
    ({**SPAN, "points": 1e6}, "bad_argument", "points is 1 to"),
    ({**SPAN, "machine": 7.0}, "bad_argument", "machine must be a text"),
    ({**SPAN, "limit": 7.0}, "bad_argument", "there is no argument 'limit'"),
]


async def test_a_question_that_cannot_be_answered_is_told_why(bob: PlainClient) -> None:
    for number, (args, code, says) in enumerate(REFUSED):
        reply = await asked(bob, str(number), **args)
        assert reply.error is not None
        assert (reply.error.code, says in reply.error.text) == (code, True), reply


async def test_a_database_that_is_away_is_an_answer_with_a_way_out(bob: PlainClient, store: Store) -> None:
    await store.close()
    began = time.monotonic()
    reply = await asked(bob, "1", **SPAN)
    assert reply.error is not None
    assert reply.error.code == "unavailable"
    assert "try again in 5 s" in reply.error.text
    assert time.monotonic() - began < 3


async def test_the_answer_comes_on_the_response_topic_with_the_correlation(bob: PlainClient) -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = "enms/reply/bob/mine"
    properties.CorrelationData = b"\x01\x02"
    body = json.dumps({"id": "not/a/level", "args": SPAN})
    bob._client.publish(ASK, body, qos=1, properties=properties)
    reply = decode(Reply, await asyncio.to_thread(bob.wait_for, "enms/reply/bob/mine"))
    assert reply.ok
    assert reply.id == "not/a/level"


async def test_a_retained_or_expired_command_has_no_effect(bob: PlainClient, broker: PrivateBroker) -> None:
    old = (datetime.now(UTC) - timedelta(seconds=40)).isoformat()
    await asyncio.to_thread(bob.publish, ASK, json.dumps({"id": "old", "args": SPAN, "sent_at": old}))
    expired = decode(Reply, await asyncio.to_thread(bob.wait_for, "enms/reply/bob/old"))
    assert expired.error is not None
    assert expired.error.code == "expired"
    await asyncio.to_thread(bob.publish, ASK, json.dumps({"id": "kept", "args": SPAN}), retain=True)
    fresh = await asyncio.to_thread(bob.wait_for, "enms/reply/bob/kept")
    assert decode(Reply, fresh).ok, "to who is there it is an order like any other"
    later = broker.bus("gateway", service="gateway", version="1")
    heard = GatewayCommands(later, Store("postgresql://127.0.0.1:1/none"))
    async with later:  # takes the session over from the first
        task = asyncio.create_task(heard.run())
        await asyncio.wait_for(later.wait_connected(), 10)
        assert await asyncio.to_thread(bob.heard, 1.0) == []
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_older_client_names_the_place_of_the_answer_in_the_payload(
    bob: PlainClient, broker: PrivateBroker
) -> None:
    password = await broker.user("flow", Role.FLOWS)
    assert bob
    with PlainClient(broker.port, "flow", password, version=V311, client_id="flow") as flow:
        flow.subscribe("enms/reply/flow/#")
        body = json.dumps({"id": "a b", "args": SPAN, "reply_to": "enms/reply/flow/here"})
        await asyncio.to_thread(flow.publish, "enms/command/flow/gateway/history", body)
        assert decode(Reply, await asyncio.to_thread(flow.wait_for, "enms/reply/flow/here")).ok
