import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from broker.channels import ANNOUNCE, TELEMETRY, Channel
from broker.messages import Announce, encode
from broker.topics import AnnounceTopic
from devices.replay import Plan, Progress, ReadOptions, make_plan, read_text, replay
from devices.sending import Numbered

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class MemoryBus:
    """Bus and outbox in one: takes everything at once and remembers when."""

    def __init__(self) -> None:
        self.announced: list[Announce] = []
        self.sent: list[tuple[float, bytes]] = []

    async def publish(
        self, channel: Channel[AnnounceTopic, Announce], where: AnnounceTopic, message: Announce
    ) -> None:
        assert channel is ANNOUNCE
        assert where.machine == "pump"
        self.announced.append(message)

    async def put_all(self, messages: Iterable[Numbered]) -> int:
        for channel, where, payload in messages:
            assert channel is TELEMETRY
            assert where.machine == "pump"
            self.sent.append((asyncio.get_running_loop().time(), payload))
        return len(self.sent)


def plan(rows: int, speed: float) -> Plan:
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    lines = ["time;x_kw", *(f"{(begin + timedelta(seconds=n)).isoformat()};{n}" for n in range(rows))]
    recording = read_text("\n".join(lines), "r.csv", ReadOptions())
    return make_plan([recording], "pump", starts_at=NOW, speed=speed)


async def test_rows_are_sent_in_order_no_sooner_than_due_and_progress_is_told() -> None:
    bus, told = MemoryBus(), list[Progress]()
    begin = asyncio.get_running_loop().time()
    played = plan(40, speed=100)
    assert await replay(bus, bus, played, told.append) == 40
    assert [body for _, body in bus.sent] == [encode(sending.body()) for sending in played.sendings]
    for (at, _), sending in zip(bus.sent, played.sendings, strict=True):
        assert at - begin >= sending.after_s
    assert [step.sent for step in told] == sorted({step.sent for step in told})
    assert told[-1] == Progress(40, 40, played.sendings[-1].ts, 40)
    assert bus.announced == [played.announce]


async def test_as_fast_as_possible_sends_everything() -> None:
    bus = MemoryBus()
    assert await replay(bus, bus, plan(1000, speed=0)) == 1000
    assert len(bus.sent) == 1000
