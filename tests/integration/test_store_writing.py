"""Batches written to a real PostgreSQL."""

import asyncio
import itertools
import math
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fixtures.stored import NOW, ago, batch, held, row
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.messages import Rejected
from broker.telemetry import Row, State
from gateway.store import BadBatchError, Batch, Keeping, RejectedRow, Store, Written
from gateway.store.catalogue import MOST_METRICS
from gateway.store.database import POOL_SIZE

DAY_S = 86_400
numbers = itertools.count()


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
            rows=batch(("press-7", "power_kw", 1, 31.5), ("press-7", "flow", 1, 2.0)).rows,
            states=[State("press-8", "operating_mode", NOW, "idle")],
            rejected=[RejectedRow("", refusal)],
        )
    )
    assert (written.stored, written.doubled, written.states_stored) == (2, 0, 1)
    assert written.new_machines == ("press-7", "press-8")
    assert sorted(written.new_series) == [("press-7", "flow"), ("press-7", "power_kw")]
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
    await store.write(Batch(rows=[Row("a", ts, NOW, ("x",), (v,)) for ts, v in rows]))
    async with store.transaction() as cursor:
        await cursor.execute("SELECT ts, values[1] FROM sample ORDER BY ts")
        assert await cursor.fetchall() == rows[::-1]


async def test_late_readings_go_to_the_week_they_belong_to(store: Store, database_url: str) -> None:
    await store.write(batch(("a", "x", 0, 1.0)))
    await store.write(batch(("a", "x", 400 * DAY_S, 2.0), ("a", "x", 30 * DAY_S, 3.0)))
    assert [value for _, value in (await held(store, "a"))["x"]] == [2.0, 3.0, 1.0]
    with psycopg.connect(database_url) as connection:
        weeks = connection.execute("SELECT tableoid::regclass::text FROM sample ORDER BY ts").fetchall()
    assert weeks == [("sample_20250127",), ("sample_20260202",), ("sample_20260302",)]


async def test_the_edges_of_weeks_are_midnights_in_utc(store: Store) -> None:
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    times = [monday - timedelta(microseconds=1), monday, monday + timedelta(days=7)]
    written = await store.write(Batch(rows=[Row("a", ts, NOW, ("x",), (1.0,)) for ts in times]))
    assert written.stored == 3


async def test_messages_of_one_time_are_one_row_and_what_was_there_first_stays(
    store: Store, database_url: str
) -> None:
    first = await store.write(Batch(rows=[row("a", 1, x=1.0, y=2.0), row("a", 2, x=3.0)]))
    again = await store.write(
        Batch(rows=[row("a", 1, ago(-1), y=9.0, z=4.0), row("a", 2, z=5.0, x=9.0), row("a", 3, z=6.0)])
    )
    assert (first.stored, first.doubled) == (3, 0)
    assert (again.stored, again.doubled) == (3, 2)
    assert await held(store, "a") == {
        "x": [(2.0, 3.0), (1.0, 1.0)],
        "y": [(1.0, 2.0)],
        "z": [(3.0, 6.0), (2.0, 5.0), (1.0, 4.0)],
    }
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT arrived, values FROM sample ORDER BY ts").fetchall()
    none = None
    assert rows == [(NOW, [none, none, 6.0]), (NOW, [3.0, none, 5.0]), (NOW, [1.0, 2.0, 4.0])]


async def test_messages_of_one_time_in_one_batch_are_one_row(store: Store) -> None:
    rows = [row("a", 1, y=2.0), row("b", 1, y=7.0), row("a", 1, x=1.0, y=9.0), row("a", 1, z=3.0, x=9.0)]
    written = await store.write(Batch(rows=rows))
    assert (written.stored, written.doubled) == (4, 2)
    assert await held(store, "a") == {"x": [(1.0, 1.0)], "y": [(1.0, 2.0)], "z": [(1.0, 3.0)]}
    assert await held(store, "b") == {"y": [(1.0, 7.0)]}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from("ab"),
                st.integers(0, 3),
                st.dictionaries(st.sampled_from("vwxyz"), st.floats(-9, 9), max_size=5),
            ),
            max_size=6,
        ),
        max_size=5,
    )
)
async def test_of_each_reading_the_first_is_kept_however_messages_and_batches_fall(
    store: Store, parts: list[list[tuple[str, int, dict[str, float]]]]
) -> None:
    run = next(numbers)
    expected: dict[tuple[str, str, float], float] = {}
    for part in parts:
        before = len(expected)
        for machine, seconds, values in part:
            for metric, value in values.items():
                expected.setdefault((machine, metric, float(seconds)), value)
        rows = [row(f"{machine}{run}", seconds, **values) for machine, seconds, values in part]
        written = await store.write(Batch(rows=rows))
        assert written.stored == len(expected) - before
        assert written.stored + written.doubled == sum(len(values) for _, _, values in part)
    found = {
        (machine, metric, seconds): value
        for machine in "ab"
        for metric, cells in (await held(store, f"{machine}{run}")).items()
        for seconds, value in cells
    }
    assert found == expected


async def test_a_write_that_is_broken_off_leaves_the_next_one_unharmed(store: Store) -> None:
    rows = [row("a", n, x=1.0) for n in range(2000)]
    await store.write(Batch(rows=rows[:1]))
    for tenth in range(1, 12):
        writing = asyncio.create_task(store.write(Batch(rows=rows)))
        _, running = await asyncio.wait([writing], timeout=tenth / 200)
        writing.cancel()
        await asyncio.wait([writing])
        if not running:
            break
    written = await store.write(Batch(rows=[*rows, row("b", 1, y=1.0)]))
    assert written.stored + written.doubled == 2001
    assert len((await held(store, "a"))["x"]) == 2000


async def test_slots_are_given_once_and_stay(store: Store, database_url: str) -> None:
    others = [Store(database_url) for _ in range(3)]
    for one in others:
        await one.open()
    names = [f"k{n}" for n in range(12)]
    try:
        await asyncio.gather(
            *(
                one.write(Batch(rows=[row("a", n, **{name: float(n)}), row("b", n, **{name: 1.0})]))
                for n, name in enumerate(names)
                for one in others
            )
        )
    finally:
        for one in others:
            await one.close()
    with psycopg.connect(database_url) as connection:
        slots = connection.execute("SELECT machine, array_agg(slot ORDER BY slot) FROM series GROUP BY 1")
        assert dict(slots.fetchall()) == {"a": list(range(1, 13)), "b": list(range(1, 13))}
    assert {name: cells[0][1] for name, cells in (await held(store, "a")).items()} == {
        name: float(n) for n, name in enumerate(names)
    }


async def test_a_machine_that_never_stops_inventing_metrics_is_stopped(store: Store) -> None:
    def made_up(first: int, count: int) -> Batch:
        return Batch(rows=[row("a", 1, **{f"k{n}": 1.0 for n in range(first, first + count)})])

    await store.write(made_up(0, MOST_METRICS))
    with pytest.raises(BadBatchError, match="2000 metrics already"):
        await store.write(made_up(MOST_METRICS, 1))
    assert (await store.write(made_up(MOST_METRICS - 1, 1))).doubled == 1


async def test_writers_at_once_store_every_reading_once(store: Store, database_url: str) -> None:
    other = Store(database_url)
    await other.open()
    rows = [(f"m{n % 7}", f"k{n % 5}", float(n // 35), float(n)) for n in range(700)]
    parts = [rows[start : start + 100] for start in range(0, 700, 50)]
    connections = {one: asyncio.Semaphore(POOL_SIZE) for one in (store, other)}

    async def write(one: Store, part: list[tuple[str, str, float, float]]) -> Written:
        async with connections[one]:
            return await one.write(batch(*part))

    try:
        written = await asyncio.gather(
            *(write(one, part) for part in parts for one in (store, other)),
            *(write(one, part[::-1]) for part in parts for one in (store, other)),
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
        Row("a", NOW, NOW, ("x",), (math.nan,)),
        Row("a", NOW, NOW, ("x",), (math.inf,)),
        Row("a", NOW + timedelta(days=9), NOW, ("x",), (1.0,)),
        Row("a", datetime(1999, 12, 31, tzinfo=UTC), NOW, ("x",), (1.0,)),
        Row("a", datetime.min.replace(tzinfo=UTC), NOW, ("x",), (1.0,)),
        Row("a", datetime.max.replace(tzinfo=UTC), NOW, ("x",), (1.0,)),
        Row("a", NOW, NOW, ("x",), (10**400,)),
        Row("a\0b", NOW, NOW, ("x",), (1.0,)),
        Row("a", NOW, NOW, ("\ud800",), (1.0,)),
        Row("a", NOW, NOW, ("x" * 1_000_000,), (1.0,)),
        State("a", "mode", NOW, "nul\0"),
        State("a", "mode", NOW, "\udfff"),
    ],
    ids=lambda bad: ascii(bad)[:60],
)
async def test_what_can_never_be_stored_refuses_its_batch_and_nothing_else(
    store: Store, bad: Row | State
) -> None:
    good = batch(("a", "x", 1, 1.0), ("b", "y", 1, 1.0)).rows
    poisoned = Batch(rows=[*good, bad]) if isinstance(bad, Row) else Batch(rows=good, states=[bad])
    with pytest.raises(BadBatchError):
        await store.write(poisoned)
    assert await store.machines() == []
    assert (await store.write(Batch(rows=good))).stored == 2


@pytest.mark.parametrize(
    "name",
    [
        "'; DROP TABLE sample; --",
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
        connection.execute("DROP TABLE sample_20260302")
    assert (await store.write(batch(("a", "x", 2, 2.0)))).stored == 1


async def test_weeks_are_made_ahead_and_dropped_when_old(database_url: str, store: Store) -> None:
    await store.make_partitions(NOW, weeks=1)
    await store.write(batch(("a", "x", 1, 1.0), ("a", "x", 20 * DAY_S, 2.0), ("a", "x", 90 * DAY_S, 3.0)))
    assert await store.apply_keeping(NOW) == []
    short = Store(database_url, keeping=Keeping(samples_days=16))
    await short.open()
    try:
        assert await short.apply_keeping(NOW) == ["sample_20251201", "sample_20260209"]
        assert await short.apply_keeping(NOW) == []
        assert await held(store, "a") == {"x": [(1.0, 1.0)]}
        old = row("a", 17 * DAY_S, x=4.0)
        with pytest.raises(BadBatchError, match="the 16 days kept before") as refused:
            await short.write(Batch(rows=[row("a", 2, x=1.0), old]))
        assert refused.value.rows == (old,)
        assert (await short.write(Batch(rows=[row("a", 15 * DAY_S, x=5.0)]))).stored == 1
    finally:
        await short.close()


async def test_a_week_that_is_read_is_dropped_the_next_time(database_url: str, store: Store) -> None:
    await store.write(batch(("a", "x", 90 * DAY_S, 3.0)))
    short = Store(database_url, keeping=Keeping(samples_days=16))
    await short.open()
    try:
        with psycopg.connect(database_url) as reader:
            reader.execute("SELECT FROM sample")
            assert await short.apply_keeping(NOW) == []
        assert await short.apply_keeping(NOW) == ["sample_20251201"]
    finally:
        await short.close()


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
