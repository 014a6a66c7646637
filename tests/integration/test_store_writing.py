"""Batches written to a real PostgreSQL."""

import asyncio
import math
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fixtures.stored import NOW, ago, batch, held

from broker.messages import Rejected
from broker.telemetry import Reading, State
from gateway.store import (
    ArrivedReading,
    BadBatchError,
    Batch,
    RejectedRow,
    Store,
)

DAY_S = 86_400


def states(*rows: tuple[float, str]) -> Batch:
    return Batch(states=[State("press-7", "mode", ago(seconds), text) for seconds, text in rows])


def modes(database_url: str) -> list[tuple[float, str]]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT ts, text FROM state_change ORDER BY ts").fetchall()
    return [((NOW - ts).total_seconds(), text) for ts, text in rows]


async def test_a_batch_is_stored_whole_and_says_what_is_new(store: Store) -> None:
    refusal = Rejected(reason="x", text="y", topic="z", head="", size_bytes=0, ts=NOW)
    written = await store.write(
        Batch(
            readings=batch(("press-7", "power_kw", 1, 31.5), ("press-7", "flow", 1, 2.0)).readings,
            states=[State("press-8", "operating_mode", NOW, "idle")],
            rejected=[RejectedRow("", refusal)],
        )
    )
    assert (written.stored, written.doubled, written.states_stored) == (2, 0, 1)
    assert written.new_machines == ("press-7", "press-8")
    assert written.new_series == (("press-7", "flow"), ("press-7", "power_kw"))
    assert await held(store, "press-7") == {"flow": [(1.0, 2.0)], "power_kw": [(1.0, 31.5)]}
    assert await store.rejected() == [RejectedRow("", refusal)]


async def test_a_doubled_reading_is_stored_once_and_the_first_stays(store: Store) -> None:
    first = await store.write(batch(("a", "x", 1, 1.0), ("a", "x", 1, 2.0), ("a", "x", 2, 3.0)))
    again = await store.write(batch(("a", "x", 2, 9.0), ("a", "x", 3, 4.0)))
    assert (first.stored, first.doubled) == (2, 1)
    assert (again.stored, again.doubled) == (1, 1)
    assert again.new_series == again.new_machines == ()
    assert await held(store, "a") == {"x": [(3.0, 4.0), (2.0, 3.0), (1.0, 1.0)]}


async def test_times_and_values_come_back_exactly(store: Store) -> None:
    rows = [
        (datetime(2026, 3, 4, 11, 59, 59, 999_999, tzinfo=UTC), 0.1),
        (datetime(2024, 2, 29, 23, 59, 59, 1, tzinfo=UTC), -1e300),
        (datetime(2000, 1, 1, tzinfo=UTC), 5e-324),
    ]
    await store.write(Batch(readings=[ArrivedReading(Reading("a", "x", ts, v), NOW) for ts, v in rows]))
    series = await store.series("a")
    found = await store.raw_history([series[0].id], rows[-1][0], NOW)
    assert [(one.ts, one.mean) for one in found[series[0].id]] == rows[::-1]


async def test_late_readings_go_to_the_week_they_belong_to(store: Store, database_url: str) -> None:
    await store.write(batch(("a", "x", 0, 1.0)))
    await store.write(batch(("a", "x", 400 * DAY_S, 2.0), ("a", "x", 30 * DAY_S, 3.0)))
    assert [value for _, value in (await held(store, "a"))["x"]] == [2.0, 3.0, 1.0]
    with psycopg.connect(database_url) as connection:
        weeks = connection.execute("SELECT tableoid::regclass::text FROM reading ORDER BY ts").fetchall()
    assert weeks == [("reading_20250127",), ("reading_20260202",), ("reading_20260302",)]


async def test_the_edges_of_weeks_are_midnights_in_utc(store: Store) -> None:
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    times = [monday - timedelta(microseconds=1), monday, monday + timedelta(days=7)]
    written = await store.write(
        Batch(readings=[ArrivedReading(Reading("a", "x", ts, 1.0), NOW) for ts in times])
    )
    assert written.stored == 3


async def test_writers_at_once_store_every_reading_once(store: Store, database_url: str) -> None:
    other = Store(database_url)
    await other.open()
    rows = [(f"m{n % 7}", f"k{n % 5}", float(n // 35), float(n)) for n in range(700)]
    parts = [rows[start : start + 100] for start in range(0, 700, 50)]
    try:
        written = await asyncio.gather(
            *(one.write(batch(*part)) for part in parts for one in (store, other)),
            *(one.write(batch(*part[::-1])) for part in parts for one in (store, other)),
        )
    finally:
        await other.close()
    assert sum(one.stored for one in written) == 700
    assert sum(len(one.new_series) for one in written) == 35
    assert sum(len(one.new_machines) for one in written) == 7
    for number in range(7):
        found = await held(store, f"m{number}")
        assert sum(map(len, found.values())) == 100


@pytest.mark.parametrize(
    "bad",
    [
        Reading("a", "x", NOW, math.nan),
        Reading("a", "x", NOW, math.inf),
        Reading("a", "x", NOW + timedelta(days=9), 1.0),
        Reading("a", "x", datetime(1999, 12, 31, tzinfo=UTC), 1.0),
        Reading("a", "x", datetime.min.replace(tzinfo=UTC), 1.0),
        Reading("a", "x", datetime.max.replace(tzinfo=UTC), 1.0),
        Reading("a", "x", NOW, 10**400),
        Reading("a\0b", "x", NOW, 1.0),
        Reading("a", "\ud800", NOW, 1.0),
        Reading("a", "x" * 1_000_000, NOW, 1.0),
        State("a", "mode", NOW, "nul\0"),
        State("a", "mode", NOW, "\udfff"),
    ],
    ids=lambda bad: ascii(bad)[:60],
)
async def test_what_can_never_be_stored_refuses_its_batch_and_nothing_else(
    store: Store, bad: Reading | State
) -> None:
    good = batch(("a", "x", 1, 1.0), ("b", "y", 1, 1.0)).readings
    poisoned = (
        Batch(readings=[*good, ArrivedReading(bad, NOW)])
        if isinstance(bad, Reading)
        else Batch(readings=good, states=[bad])
    )
    with pytest.raises(BadBatchError):
        await store.write(poisoned)
    assert await store.machines() == []
    assert (await store.write(Batch(readings=good))).stored == 2


@pytest.mark.parametrize(
    "name",
    [
        "'; DROP TABLE reading; --",
        '"; DELETE FROM series; --',
        "%(machines)s",
        "{1,2}",
        "$1",
        "\\",
        "NULL",
        "é😀",
    ],
)
async def test_sql_in_names_is_just_a_name(store: Store, name: str) -> None:
    await store.write(batch((name, name, 1, 1.0)))
    await store.write(Batch(states=[State(name, name, NOW, name)]))
    assert await held(store, name) == {name: [(1.0, 1.0)]}
    machine = await store.machine(name)
    assert machine is not None
    assert machine.name == name


async def test_a_refusal_is_kept_whatever_is_in_it(store: Store) -> None:
    record = Rejected(reason="r", text="t\0", topic="\ud800", head="h", size_bytes=1, ts=NOW, field="\0")
    await store.write(Batch(rejected=[RejectedRow("s\0", record)]))
    (found,) = await store.rejected()
    assert (found.source, found.record.text) == ("s\\x00", "t\\x00")
    assert (found.record.topic, found.record.field) == ("\\ud800", "\\x00")


async def test_a_partition_dropped_by_another_is_made_again(store: Store, database_url: str) -> None:
    await store.write(batch(("a", "x", 1, 1.0)))
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE reading_20260302")
    assert (await store.write(batch(("a", "x", 2, 2.0)))).stored == 1


async def test_partitions_are_made_ahead_and_dropped_when_old(store: Store) -> None:
    await store.make_partitions(NOW, weeks=1)
    await store.write(batch(("a", "x", 1, 1.0), ("a", "x", 20 * DAY_S, 2.0), ("a", "x", 90 * DAY_S, 3.0)))
    dropped = await store.drop_partitions(before=ago(16 * DAY_S))
    assert [str(week) for week in dropped] == ["2025-12-01", "2026-02-09"]
    assert await held(store, "a") == {"x": [(1.0, 1.0)]}
    assert await store.drop_partitions(before=ago(16 * DAY_S)) == []
    await store.write(batch(("a", "x", 20 * DAY_S, 4.0)))
    assert [value for _, value in (await held(store, "a"))["x"]] == [4.0, 1.0]


async def test_a_text_is_kept_when_it_changes(store: Store, database_url: str) -> None:
    written = await store.write(states((9, "idle"), (8, "idle"), (7, "run"), (6, "idle")))
    assert written.states_stored == 3
    again = await store.write(states((6, "idle"), (5, "idle"), (4, "run")))
    assert again.states_stored == 1
    assert modes(database_url) == [(9, "idle"), (7, "run"), (6, "idle"), (4, "run")]


async def test_texts_written_at_once_lose_no_change(store: Store, database_url: str) -> None:
    await store.write(states((100, "run")))
    texts = ["idle" if n % 2 else "run" for n in range(50)]
    await asyncio.gather(*(store.write(states((50 - n, text))) for n, text in enumerate(texts)))
    assert [text for _, text in modes(database_url)] == texts


async def test_a_restarted_writer_knows_the_last_text(store: Store, database_url: str) -> None:
    await store.write(states((9, "run"), (5, "idle")))
    other = Store(database_url)
    await other.open()
    try:
        assert (await other.write(states((4, "idle")))).states_stored == 0
        assert (await other.write(states((7, "run"), (3, "idle")))).states_stored == 0
        assert (await other.write(states((2, "run")))).states_stored == 1
    finally:
        await other.close()
    assert modes(database_url) == [(9, "run"), (5, "idle"), (2, "run")]


async def test_a_late_text_does_not_swallow_the_one_that_was_repeated(
    store: Store, database_url: str
) -> None:
    await store.write(states((10, "idle"), (2, "idle")))
    await store.write(states((5, "run")))
    assert modes(database_url) == [(10, "idle"), (5, "run"), (2, "idle")]
