import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.channels import ANOMALY, EXPECTED, LATEST, TELEMETRY
from broker.outbox import Outbox, OutboxInUseError, WhenFull
from broker.outbox_file import Limits, OutboxDamagedError
from broker.posting import UserProperties
from broker.sender import Patience
from broker.topics import AnomalyTopic, ExpectedTopic, LatestTopic, TelemetryTopic

PRESS = TelemetryTopic("press-7")
ROWS = Limits(rows=3, size_bytes=1 << 20)


def outbox(folder: Path, when_full: WhenFull = WhenFull.WAIT, limits: Limits = ROWS) -> Outbox:
    return Outbox(folder / "outbox" / "press.db", when_full, limits)


async def numbers(one: Outbox) -> list[int]:
    return [entry.seq for entry in await one.read(0)]


async def test_messages_are_numbered_from_1_and_read_in_order(tmp_path: Path) -> None:
    async with outbox(tmp_path) as one:
        assert await one.put(TELEMETRY, PRESS, b"1") == 1
        assert await one.put_all([(TELEMETRY, PRESS, b"2"), (ANOMALY, AnomalyTopic("m"), b"3")]) == 3  # type: ignore[list-item]
        read = await one.read(0)
    assert [(entry.seq, entry.topic, entry.payload) for entry in read] == [
        (1, "telemetry/press-7", b"1"),
        (2, "telemetry/press-7", b"2"),
        (3, "anomaly/m", b"3"),
    ]


async def test_what_was_put_and_its_numbering_outlive_the_process(tmp_path: Path) -> None:
    async with outbox(tmp_path) as one:
        await one.put(TELEMETRY, PRESS, b"1")
        await one.put(TELEMETRY, PRESS, b"2")
        boot = one.boot
        assert one.forget(boot, 2)
        await one.wait_committed(2)
        assert one.held.rows == one.held.size_bytes == 0
    async with outbox(tmp_path) as again:
        assert again.boot == boot
        assert again.held.first == again.held.next_seq == 3
        assert await again.put(TELEMETRY, PRESS, b"3") == 3


async def test_a_file_left_open_by_a_killed_process_has_all_that_was_put(tmp_path: Path) -> None:
    async with outbox(tmp_path) as one:
        await one.put(TELEMETRY, PRESS, b"kept")
        copy = tmp_path / "copy"
        copy.mkdir()
        for part in (tmp_path / "outbox").iterdir():  # as the kernel has it at this moment
            (copy / part.name).write_bytes(part.read_bytes())
    async with Outbox(copy / "press.db", WhenFull.WAIT) as left:
        assert [entry.payload for entry in await left.read(0)] == [b"kept"]


async def test_what_the_mark_covers_is_forgotten_and_another_boots_mark_means_nothing(tmp_path: Path) -> None:
    async with outbox(tmp_path) as one:
        for body in (b"1", b"2", b"3"):
            await one.put(TELEMETRY, PRESS, body)
        assert not one.forget("another", 3)
        assert not one.forget(one.boot, 4), "nobody can have stored what was never sent"
        assert not one.forget(one.boot, 0)
        assert one.forget(one.boot, 2)
        await one.wait_committed(2)
        assert not one.forget(one.boot, 1)
        assert await numbers(one) == [3]


async def test_a_full_outbox_that_waits_goes_on_when_something_was_stored(tmp_path: Path) -> None:
    async with outbox(tmp_path) as one:
        for _ in range(3):
            await one.put(TELEMETRY, PRESS, b"x")
        waiting = asyncio.create_task(one.put(TELEMETRY, PRESS, b"y"))
        await one.read(0)  # the file's thread had its turn
        assert not waiting.done()
        assert one.forget(one.boot, 1)
        assert await waiting == 4
        assert await numbers(one) == [2, 3, 4]
        assert one.dropped == 0


async def test_a_full_outbox_that_drops_loses_the_oldest_and_counts_them(tmp_path: Path) -> None:
    async with outbox(tmp_path, WhenFull.DROP_OLDEST) as one:
        for _ in range(5):
            await one.put(TELEMETRY, PRESS, b"x")
        assert one.dropped == 2
        assert await numbers(one) == [3, 4, 5]
        assert one.held.first == 3


async def test_bytes_are_bounded_as_rows_are(tmp_path: Path) -> None:
    async with outbox(tmp_path, WhenFull.DROP_OLDEST, Limits(rows=1000, size_bytes=1000)) as one:
        for _ in range(10):
            await one.put(TELEMETRY, PRESS, b"x" * 300)
        assert one.held.rows == 3
        assert one.held.size_bytes == 3 * (300 + len("telemetry/press-7"))


async def test_a_lot_larger_than_a_waiting_outbox_goes_in_alone(tmp_path: Path) -> None:
    async with outbox(tmp_path) as one:
        assert await one.put_all([(TELEMETRY, PRESS, b"x")] * 5) == 5


@pytest.mark.parametrize("harm", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path, harm: bytes) -> None:
    path = tmp_path / "outbox" / "press.db"
    async with outbox(tmp_path) as one:
        boot = one.boot
    path.write_bytes(harm)
    async with outbox(tmp_path) as one:
        assert one.boot != boot
        assert await one.put(TELEMETRY, PRESS, b"1") == 1
    (aside,) = path.parent.glob("press.db.damaged-*")
    assert aside.read_bytes() == harm


async def test_a_full_disk_holds_messages_up_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.outbox.AGAIN_S", 0.02)
    async with outbox(tmp_path, limits=Limits(1000, 1 << 20)) as one:
        await one.put(TELEMETRY, PRESS, b"before")
        one._file._connection.execute("PRAGMA max_page_count = 1")  # no more than there is
        waiting = asyncio.create_task(one.put(TELEMETRY, PRESS, b"x" * 100_000))
        assert not (await asyncio.wait([waiting], timeout=0.1))[0]
        assert await numbers(one) == [1]
        one._file._connection.execute("PRAGMA max_page_count = 1000000")
        assert await waiting == 2
        assert await numbers(one) == [1, 2]


async def test_a_file_damaged_while_in_use_ends_the_source_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> int:
        raise OutboxDamagedError("press.db is damaged")

    async with outbox(tmp_path) as one:
        monkeypatch.setattr(one._file, "write", damaged)
        with pytest.raises(OutboxDamagedError):
            await one.put(TELEMETRY, PRESS, b"1")
        with pytest.raises(OutboxDamagedError):
            await one.wait_committed(1)


async def test_somebody_elses_database_is_not_taken_for_an_outbox(tmp_path: Path) -> None:
    path = tmp_path / "press.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE outbox (format INTEGER, boot TEXT, next_seq INTEGER)")
    other.close()
    async with Outbox(path, WhenFull.WAIT) as one:
        assert await one.put(TELEMETRY, PRESS, b"1") == 1
    assert list(tmp_path.glob("press.db.damaged-*"))


async def test_an_outbox_belongs_to_one_process(tmp_path: Path) -> None:
    async with outbox(tmp_path):
        with pytest.raises(OutboxInUseError, match="another process"):
            async with outbox(tmp_path):
                pass


async def test_only_events_the_broker_can_take_are_numbered(tmp_path: Path) -> None:
    async with outbox(tmp_path) as one:
        with pytest.raises(ValueError, match="no event"):
            await one.put(LATEST, LatestTopic("m"), b"")
        with pytest.raises(ValueError, match="no event"):
            await one.put(EXPECTED, ExpectedTopic("m"), b"")
        with pytest.raises(ValueError, match="bytes are more"):
            await one.put(TELEMETRY, PRESS, b"x" * 300_000)
        assert await numbers(one) == []


async def test_waiting_for_a_message_ends_when_one_comes_or_the_time_is_over(tmp_path: Path) -> None:
    async with outbox(tmp_path) as one:
        assert not await one.wait_above(0, 0.01)
        waiting = asyncio.create_task(one.wait_above(0, 10))
        await one.put(TELEMETRY, PRESS, b"1")
        assert await waiting


def test_what_no_mark_covers_is_sent_again_later_and_later_until_the_mark_moves() -> None:
    patience = Patience(10.0, 35.0)
    again = [second for second in range(200) if patience.over(float(second), waiting=True)]
    assert again == [10, 30, 65, 100, 135, 170]
    patience.moved()
    assert [second for second in range(200, 240) if patience.over(float(second), waiting=True)] == [210, 230]


def test_nothing_is_sent_again_while_everything_is_stored() -> None:
    patience = Patience(10.0)
    assert not any(patience.over(float(second), waiting=second % 9 != 0) for second in range(100))


def test_user_properties_are_packed_as_the_clients_own_class_does() -> None:
    from paho.mqtt.packettypes import PacketTypes  # noqa: PLC0415
    from paho.mqtt.properties import Properties  # noqa: PLC0415

    pairs = (("client", "Maschine-ä"), ("boot", "x" * 64), ("seq", "9223372036854775807"))
    theirs = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    theirs.UserProperty = list(pairs)
    assert UserProperties(pairs).pack() == theirs.pack()  # type: ignore[no-untyped-call]


async def test_times_are_an_argument(tmp_path: Path) -> None:
    path = tmp_path / "press.db"
    path.write_bytes(b"harm" * 500)
    async with Outbox(path, WhenFull.WAIT, now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)):
        pass
    assert (tmp_path / "press.db.damaged-20260102T030405000000").exists()
