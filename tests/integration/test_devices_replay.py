"""Recorded data played on a real Mosquitto."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from fixtures.broker import PrivateBroker

from broker.bus import Bus
from broker.channels import ANNOUNCE, TELEMETRY
from broker.messages import Announce
from broker.outbox import Outbox, WhenFull
from broker.sender import OutboxSender
from broker.stream import Stream
from broker.telemetry import Reading, read
from devices.replay import Plan, Progress, ReadOptions, make_plan, read_text, replay

PATIENCE_S = 30
BEGIN = datetime(2020, 3, 9, 10, tzinfo=UTC)


def bed(rows: int) -> str:
    lines = ["datetime;Pressure (bar);Volume Flow RateRMS;anomaly"]
    for number in range(rows):
        at = BEGIN + timedelta(seconds=number)
        lines.append(f"{at:%Y-%m-%d %H:%M:%S};{number / 100};{32 + number};0.0")
    return "\n".join(lines)


def planned(rows: int, speed: float) -> Plan:
    recording = read_text(bed(rows), "bed.csv", ReadOptions(skip=("anomaly",)))
    return make_plan([recording], "pump-bed", starts_at=datetime.now(UTC), speed=speed)


@asynccontextmanager
async def playing_on(broker: PrivateBroker) -> AsyncIterator[tuple[Bus, Outbox]]:
    bus = broker.bus("simulator")
    async with Outbox(broker.log.parent / "outbox.db", WhenFull.WAIT) as outbox:
        sender = OutboxSender(bus, outbox)
        async with bus:
            sending = asyncio.create_task(sender.run())
            try:
                yield bus, outbox
            finally:
                sending.cancel()
                with suppress(asyncio.CancelledError):
                    await sending


async def heard(stream: Stream, count: int) -> dict[datetime, list[Reading]]:
    found: dict[datetime, list[Reading]] = {}
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            for delivery in await stream.batch(100, 0.01):
                delivery.ack()
                parsed = read(delivery.topic, delivery.payload, delivery.arrived)
                assert parsed.refusals == []
                assert all(reading.ts <= delivery.arrived for reading in parsed.readings)
                for reading in parsed.readings:
                    found.setdefault(reading.ts, []).append(reading)
    return found


async def test_every_row_arrives_with_its_spacing_and_never_from_the_future(broker: PrivateBroker) -> None:
    gateway = broker.bus("gateway")
    announced, stream = gateway.subscribe(ANNOUNCE), gateway.subscribe(TELEMETRY)
    told: list[Progress] = []
    async with gateway, playing_on(broker) as (player, outbox):
        await gateway.wait_connected()
        await player.wait_connected()
        await replay(player, outbox, planned(100, speed=200), told.append)
        rows = await heard(stream, 100)
        (delivery,) = await announced.batch(1, 1)
    _, said = delivery.read(ANNOUNCE)
    assert isinstance(said, Announce)
    assert said.metrics["pressure"].unit == "bar"
    assert {later - earlier for earlier, later in pairwise(sorted(rows))} == {timedelta(seconds=1)}
    first = {reading.metric: reading.value for reading in rows[min(rows)]}
    assert first == {"pressure": 0.0, "volume_flow_raterms": 32.0}
    assert told[-1].sent == told[-1].total == 100


async def test_a_replay_survives_a_broker_that_restarts_and_loses_no_row(broker: PrivateBroker) -> None:
    gateway = broker.bus("gateway", persistent=True)
    stream = gateway.subscribe(TELEMETRY)
    async with gateway, playing_on(broker) as (player, outbox):
        await gateway.wait_connected()
        await player.wait_connected()
        third = asyncio.Event()
        playing = asyncio.create_task(
            replay(
                player,
                outbox,
                planned(60, speed=30),
                lambda step: third.set() if step.sent >= 20 else None,
            )
        )
        hearing = asyncio.create_task(heard(stream, 60))
        async with asyncio.timeout(PATIENCE_S):
            await third.wait()
            await asyncio.to_thread(broker.restart)
            assert await playing == 60
            assert len(await hearing) == 60
