import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from broker.bus import BusAddress
from broker.channels import Channel, Telemetry
from broker.topics import TelemetryTopic
from devices.factory import Row
from devices.outbox import Outbox, Tick, messages
from devices.sending import send_all
from devices.simulator import SimulatorConfig, Timeline

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def tick(number: int) -> Tick:
    row = Row(NOW + timedelta(seconds=number), {"power_kw": float(number)}, {"operating_mode": "idle"})
    return {"pump-1": row, "oven-1": row}


async def test_a_full_outbox_loses_the_oldest_and_counts_it() -> None:
    outbox = Outbox(3)
    for number in range(5):
        outbox.put(tick(number))
    assert outbox.dropped == 2
    assert await outbox.take() == [tick(2), tick(3), tick(4)]
    assert len(outbox) == 0


async def test_taking_waits_for_something() -> None:
    outbox = Outbox(3)
    outbox.put(tick(0))
    await outbox.take()
    waiting = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.put(tick(1))
    assert await waiting == [tick(1)]


async def test_what_was_kept_is_taken_oldest_first_in_pieces() -> None:
    outbox = Outbox(100)
    for number in range(70):
        outbox.put(tick(number))
    assert [len(await outbox.take()), len(await outbox.take())] == [60, 10]


def test_one_tick_is_an_object_a_machine_and_more_are_lists() -> None:
    body = {"ts": NOW, "power_kw": 0.0, "operating_mode": "idle"}
    assert list(messages([tick(0)])) == [("pump-1", body), ("oven-1", body)]
    for _, rows in messages([tick(0), tick(1)]):
        assert isinstance(rows, list)
        assert [row["power_kw"] for row in rows] == [0.0, 1.0]


class SlowBus:
    """A bus that acknowledges only when told, and knows how much was under way at most."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.under_way = self.most = 0
        self.order: list[str] = []

    async def send(
        self, channel: Channel[TelemetryTopic, Telemetry], where: TelemetryTopic, body: object
    ) -> None:
        assert channel.topic is TelemetryTopic
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.order.append(where.machine)
        await self.go.wait()
        assert body == 1
        self.under_way -= 1


async def test_never_more_messages_are_under_way_than_allowed_and_order_is_kept() -> None:
    bus = SlowBus()
    names = [f"m{number}" for number in range(50)]
    sending = asyncio.create_task(send_all(bus, ((name, 1) for name in names), at_once=8))
    for _ in range(100):
        await asyncio.sleep(0)
    assert bus.order == names[:8]
    bus.go.set()
    assert await sending == 50
    assert bus.most == 8
    assert bus.order == names


def test_the_factory_lives_faster_only_from_its_origin_on() -> None:
    timeline = Timeline(NOW, 60.0)
    assert timeline.factory_time(NOW - timedelta(days=1)) == NOW - timedelta(days=1)
    assert timeline.factory_time(NOW + timedelta(minutes=2)) == NOW + timedelta(hours=2)


def test_an_hour_is_kept_but_not_of_ten_thousand_machines() -> None:
    address = BusAddress("127.0.0.1", 1)
    assert SimulatorConfig(bus=address, password="x").kept_ticks == 3600
    assert SimulatorConfig(bus=address, password="x", machines=10_000).kept_ticks == 30


@pytest.mark.parametrize(
    "wrong", [{"period_s": 0.0}, {"speed": -1.0}, {"backfill": timedelta(seconds=-1)}], ids=str
)
def test_figures_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"above 0|reaches into the past"):
        SimulatorConfig(bus=BusAddress("127.0.0.1", 1), password="x", **wrong)  # type: ignore[arg-type]
