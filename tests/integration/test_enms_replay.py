"""`enms replay` where nobody says that anything is stored."""

import asyncio
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from fixtures.broker import PrivateBroker
from rich.console import Console

from broker.bus import Bus
from broker.channels import COMMITTED, TELEMETRY
from broker.messages import Committed
from broker.outbox import Outbox, WhenFull
from broker.sender import OutboxSender
from broker.topics import CommittedTopic
from devices.replay import ReadOptions, Recording, read_text
from enms import replay
from enms.api import ApiError

BEGIN = datetime(2020, 3, 9, 10, tzinfo=UTC)


def recording(rows: int) -> Recording:
    times = [BEGIN + timedelta(seconds=number) for number in range(rows)]
    return read_text(
        "\n".join(["time;x_kw", *(f"{at.isoformat()};1" for at in times)]), "r.csv", ReadOptions()
    )


async def played(bus: Bus, outbox: Outbox, rows: int) -> str:
    said = StringIO()
    run = replay._Run(bus, outbox, OutboxSender(bus, outbox), Console(file=said, width=1000))
    await run.play([recording(rows)], "bed", speed=0.0, ends_at=None)
    return said.getvalue()


async def test_a_replay_ends_with_a_word_where_no_gateway_tells_what_is_stored(
    broker: PrivateBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "NO_MARK_S", 0.5)
    path = broker.log.parent / "replay.db"
    async with Outbox(path, WhenFull.WAIT, replay.KEPT) as outbox:
        said = await played(broker.bus("replay"), outbox, 300)
        assert "the broker has 300 rows as bed" in said
        assert "older version" in said
        await outbox.wait_committed(300)
    async with Outbox(path, WhenFull.WAIT, replay.KEPT) as outbox:
        assert outbox.held.rows == 0, "it does not pile up"


async def test_what_a_gateway_stopped_storing_is_kept_for_the_next_replay(
    broker: PrivateBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "NO_MARK_S", 0.5)
    gateway = broker.bus("gateway")
    heard = gateway.subscribe(TELEMETRY)
    async with Outbox(broker.log.parent / "replay.db", WhenFull.WAIT, replay.KEPT) as outbox, gateway:
        await asyncio.wait_for(gateway.wait_connected(), 10)

        async def tell(mark: int, messages: int) -> None:
            got = 0
            while got < messages:
                got += len(await heard.batch(messages - got, 0.1))
            told = Committed(boot=outbox.boot, seq=mark, ts=BEGIN)
            gateway.keep(COMMITTED, CommittedTopic("replay"), told)

        telling = asyncio.create_task(tell(100, 300))
        with pytest.raises(ApiError, match="sent again by the next `enms replay`"):
            await played(broker.bus("replay"), outbox, 300)
        await telling
        assert outbox.held.first == 101
        telling = asyncio.create_task(tell(310, 200 + 10))
        said = await played(broker.bus("replay"), outbox, 10)
        await telling
        assert "200 rows of an earlier replay are sent again first" in said
        assert "10 rows as bed" in said
