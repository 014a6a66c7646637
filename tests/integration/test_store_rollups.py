"""Rollups from a real PostgreSQL: the same bits whatever came when, and the same sums in plain Python."""

import asyncio
import itertools
import math
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from broker.messages import Machine, MetricInfo
from broker.telemetry import Row
from gateway.store import Batch, RollerBusyError, Store
from gateway.store.levels import LEVELS, Level
from gateway.store.packing import EPOCH
from gateway.store.queries import query
from gateway.store.rollups import SLICE_MINUTES

SUNDAY = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
END = SUNDAY + timedelta(days=6)
METRICS = ("pressure_bar", "power_kw", "meter_wh")
Given = tuple[int, tuple[float | None, ...]]
Rollup = tuple[Any, ...]


def at(ms: int) -> datetime:
    return SUNDAY + timedelta(milliseconds=ms)


def rows_of(machine: str, given: Iterable[Given]) -> list[Row]:
    """A row for each, or two where the metrics came in messages of their own."""
    found = []
    for ms, values in given:
        there = [(name, value) for name, value in zip(METRICS, values, strict=True) if value is not None]
        if there:
            names, numbers = zip(*there, strict=True)
            found.append(Row(machine, at(ms), END, names, numbers))
    return found


async def kept(store: Store, machine: str, level: Level) -> list[Rollup]:
    """All a store holds of a machine at a level.

    Metric, bucket, count, smallest, largest, sum, last, the time of that, energy.
    """
    statement = """
        SELECT metric, ts, count, min, max, sum, last, last_ts, energy_kwh
        FROM rollup JOIN series ON series.id = series_id
        WHERE machine = %s ORDER BY metric, ts
    """
    async with store.transaction() as cursor:
        await cursor.execute(statement.replace("rollup", level.table).encode(), [machine])
        return await cursor.fetchall()


async def roll_up_all(store: Store, now: datetime) -> None:
    while (await store.roll_up(now)).more:
        pass


def energies(
    readings: Sequence[tuple[datetime, float]], metric: str
) -> list[tuple[datetime, datetime, float]]:
    """From when to when how many kWh, by plain Python."""
    found = []
    for (since, was), (until, value) in itertools.pairwise(readings):
        hours = (until - since) / timedelta(hours=1)
        if metric == "power_kw" and hours <= 1:
            found.append((since, until, (was + value) / 2 * hours))
        elif metric == "meter_wh" and hours <= 24:
            reset = value if 0 <= value < was / 2 else 0.0
            found.append((since, until, (value - was if value >= was else reset) / 1000))
    return found


def oracle(given: Sequence[Given], level: Level) -> dict[tuple[str, datetime], Rollup]:
    """Count, min, max, last, its time and energy by metric and bucket."""
    found: dict[tuple[str, datetime], Rollup] = {}
    for column, metric in enumerate(METRICS):
        values = {at(ms): value[column] for ms, value in given}
        readings = sorted((ts, value) for ts, value in values.items() if value is not None)
        kwh: dict[datetime, float] = {}
        for since, until, energy in energies(readings, metric):
            bucket = level.floor(since)
            while bucket < until:
                share = (min(until, bucket + level.width) - max(since, bucket)) / (until - since)
                kwh[bucket] = kwh.get(bucket, 0.0) + energy * share
                bucket += level.width
        for bucket, some in itertools.groupby(readings, lambda one: level.floor(one[0])):
            numbers = list(some)
            low, high = min(value for _, value in numbers), max(value for _, value in numbers)
            energy_there = None if metric == METRICS[0] else kwh.pop(bucket, 0.0)
            found[metric, bucket] = (len(numbers), low, high, numbers[-1][1], numbers[-1][0], energy_there)
        found |= {(metric, bucket): (0, None, None, None, None, energy) for bucket, energy in kwh.items()}
    return found


def assert_as_in_plain_python(have: list[Rollup], want: dict[tuple[str, datetime], Rollup]) -> None:
    found = {(metric, ts): rest for metric, ts, *rest in have}
    assert found.keys() == want.keys()
    for key, (count, low, high, total, last, last_ts, energy) in found.items():
        assert (count, low, high, last, last_ts) == want[key][:5], key
        assert (energy is None) == (want[key][5] is None), key
        if energy is not None:
            assert math.isclose(energy, want[key][5], rel_tol=1e-9, abs_tol=1e-9), key
        assert (total is None) == (count == 0)


numbers = itertools.count()
values = st.one_of(st.none(), st.floats(0, 1e4), st.sampled_from([0.0, 7.25, 100.0, 1000.0]))
HOUR_MS = 3_600_000
times_ms = st.one_of(
    st.integers(0, 4 * HOUR_MS),
    st.integers(0, 600_000),
    st.integers(0, 4 * 60).map(lambda minute: minute * 60_000),
    st.integers(0, 5 * 24 * HOUR_MS),
    st.sampled_from([90 * 60_000, 90 * 60_000 - 1, 25 * HOUR_MS]),
)
rows = st.dictionaries(times_ms, st.tuples(values, values, values), min_size=1, max_size=40)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Given], list[tuple[list[Given], int]]]:
    """Rows in order, and the same in batches: shuffled, some twice, with a time to roll up at after each."""
    inorder = sorted(draw(rows).items())
    again = draw(st.lists(st.sampled_from(inorder), max_size=8))
    shuffled = draw(st.one_of(st.just(inorder), st.permutations([*inorder, *again])))
    cuts = sorted(draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))
    edges = [0, *cuts, len(shuffled)]
    nows = sorted(draw(st.lists(times_ms, min_size=len(edges) - 1, max_size=len(edges) - 1)))
    batches = [shuffled[since:until] for since, until in itertools.pairwise(edges)]
    return inorder, list(zip(batches, nows, strict=True))


NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each try takes a tenth of a second, so that shrinking what was found would take minutes."""


@settings(
    phases=NO_SHRINKING,
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(arrivals())
async def test_whatever_came_when_the_rollups_are_the_same_bits(
    store: Store, arrived: tuple[list[Given], list[tuple[list[Given], int]]]
) -> None:
    await check_arrivals(store, arrived)


@pytest.mark.skipif(
    "ENMS_TEST_TIMESCALE_URL" not in os.environ,
    reason="ROLLUPS ARE NOT TESTED ON TIMESCALEDB: set ENMS_TEST_TIMESCALE_URL to an empty database with it",
)
@settings(
    phases=NO_SHRINKING,
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(arrivals())
async def test_on_timescaledb_the_rollups_are_the_same_bits_too(
    timescale_store: Store, arrived: tuple[list[Given], list[tuple[list[Given], int]]]
) -> None:
    await check_arrivals(timescale_store, arrived)


@pytest.fixture
async def timescale_store() -> AsyncIterator[Store]:
    opened = Store(os.environ["ENMS_TEST_TIMESCALE_URL"])
    await opened.open()
    try:
        await opened.migrate()
        yield opened
    finally:
        await opened.close()


async def check_arrivals(store: Store, arrived: tuple[list[Given], list[tuple[list[Given], int]]]) -> None:
    inorder, batches = arrived
    number = next(numbers)
    clean, mixed = f"clean-{number}", f"mixed-{number}"
    # As if it were new, or as if the roller had just come to where the readings begin.
    begin = EPOCH if number % 2 else SUNDAY - timedelta(minutes=10)
    async with store.transaction() as cursor:
        await cursor.execute(
            "TRUNCATE sample, rollup_1m, rollup_15m, rollup_1h, rollup_1d, rollup_dirty, rollup_stale"
        )
        await cursor.execute(
            "UPDATE rollup_state SET (frontier, done_1m, done_15m, done_1h, done_1d) = (%s, %s, %s, %s, %s)",
            [level.floor(begin) for level in (LEVELS[0], *LEVELS)],
        )
    await store.write(Batch(rows=rows_of(clean, inorder)))
    for batch, now_ms in batches:
        await store.write(Batch(rows=rows_of(mixed, batch)))
        await store.roll_up(at(now_ms), most_slices=1)
    await roll_up_all(store, END + timedelta(hours=30))
    for level in LEVELS:
        have = await kept(store, mixed, level)
        assert [repr(one) for one in have] == [repr(one) for one in await kept(store, clean, level)]
        assert_as_in_plain_python(have, oracle(inorder, level))


async def test_a_late_reading_changes_the_energy_up_to_its_neighbours(store: Store) -> None:
    given = [(0, (None, 10.0, None)), (3_000_000, (None, 20.0, None))]
    await store.write(Batch(rows=rows_of("a", given)))
    await roll_up_all(store, END)
    before = await kept(store, "a", LEVELS[0])
    await store.write(Batch(rows=rows_of("a", [(1_200_000, (None, 90.0, None))])))
    await roll_up_all(store, END)
    after = await kept(store, "a", LEVELS[0])
    assert len(before) == len(after) == 51
    assert sum(one[8] for one in before[:-1]) == pytest.approx(15 * 50 / 60)
    assert sum(one[8] for one in after[:-1]) == pytest.approx(50 * 20 / 60 + 55 * 30 / 60)


async def test_rolling_up_again_changes_nothing(store: Store, database_url: str) -> None:
    given = [(n * 7_000, (1.0, float(n % 90), float(n))) for n in range(2000)]
    await store.write(Batch(rows=rows_of("a", given)))
    await roll_up_all(store, END)
    ask = b"SELECT xmin::text FROM rollup_1m ORDER BY series_id, ts"
    with psycopg.connect(database_url, autocommit=True) as connection:
        before = connection.execute(ask).fetchall()
        kept_before = [await kept(store, "a", level) for level in LEVELS]
        await store.roll_up_again("a")
        await roll_up_all(store, END)
        assert connection.execute(ask).fetchall() == before
    assert [await kept(store, "a", level) for level in LEVELS] == kept_before


async def test_units_that_are_announced_decide_what_is_energy(store: Store) -> None:
    given = [(n * 1000, (5.0, 2.0, 3.0)) for n in range(0, 3601, 60)]
    await store.write(Batch(rows=rows_of("a", given)))
    units = {"pressure_bar": MetricInfo(unit="MW"), "power_kw": MetricInfo(unit="bar")}
    await store.save_machine(Machine(machine="a", name="a", first_seen=SUNDAY, metrics=units))
    await roll_up_all(store, END)
    energy: dict[str, float | None] = {}
    for metric, _, *_, kwh in await kept(store, "a", LEVELS[2]):
        energy[metric] = None if kwh is None else (energy.get(metric) or 0.0) + kwh
    assert energy == {"pressure_bar": pytest.approx(5000), "power_kw": None, "meter_wh": 0.0}


async def test_a_machine_with_more_metrics_than_fit_in_one_pass_has_all_of_them(store: Store) -> None:
    names = tuple(f"m{number}" for number in range(13))
    row = [Row("a", at(n * 1000), END, names, tuple(float(n + k) for k in range(13))) for n in range(10)]
    await store.write(Batch(rows=row))
    await roll_up_all(store, END)
    have = {one[0]: one[2:7] for one in await kept(store, "a", LEVELS[3])}
    assert have == {f"m{k}": (10, float(k), 9.0 + k, 45.0 + 10 * k, 9.0 + k) for k in range(13)}


async def test_the_smallest_readings_there_are_stop_nothing(store: Store) -> None:
    given = [(n * 1000, (5e-324, 5e-324, 5e-324 * n)) for n in range(5)]
    await store.write(Batch(rows=rows_of("a", given)))
    await roll_up_all(store, END)
    assert [one[2:4] for one in await kept(store, "a", LEVELS[3])] == [(5, 0.0), (5, 5e-324), (5, 5e-324)]


async def test_a_reading_beyond_all_bounds_stops_nothing(store: Store) -> None:
    given = [(n * 1000, (1.7e308, -1.7e308, 1.7e308)) for n in range(5)] + [(9000, (1.0, 1.0, 1.0))]
    await store.write(Batch(rows=rows_of("a", given)))
    await roll_up_all(store, END)
    for level in LEVELS:
        assert {one[0]: one[2:5] for one in await kept(store, "a", level)} == {
            "pressure_bar": (6, 1.0, 1.7e308),
            "power_kw": (6, -1.7e308, 1.0),
            "meter_wh": (6, 1.0, 1.7e308),
        }


async def test_a_crash_before_any_statement_leaves_only_work_to_be_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [(n * 20_000, (1.0, float(n % 90), float(n))) for n in range(900)]
    await store.write(Batch(rows=rows_of("clean", given)))
    await store.write(Batch(rows=rows_of("a", given[:600])))
    await store.roll_up(at(600 * 20_000))
    await store.write(Batch(rows=rows_of("a", [*given[300:310], *given[600:]])))
    await store.write(Batch(rows=rows_of("late", given[:500])))
    for statements in itertools.count(1):
        monkeypatch.setattr("gateway.store.rollups.query", dying_after(statements))
        try:
            await roll_up_all(store, at(900 * 20_000) + timedelta(hours=statements))
        except ConnectionAbortedError:
            continue
        break
    assert statements > 20
    monkeypatch.setattr("gateway.store.rollups.query", query)
    await store.write(Batch(rows=rows_of("late", given[500:])))
    await roll_up_all(store, END)
    for level in LEVELS:
        want = [one[1:] for one in await kept(store, "clean", level)]
        assert [one[1:] for one in await kept(store, "a", level)] == want
        assert [one[1:] for one in await kept(store, "late", level)] == want


def dying_after(statements: int) -> Callable[[str], bytes]:
    """Let a roller die before the statement that follows so many."""
    left = itertools.count(statements, -1)

    def asked(name: str) -> bytes:
        if next(left) <= 0:
            raise ConnectionAbortedError(name)
        return query(name)

    return asked


async def test_a_writer_that_began_before_the_frontier_moved_is_waited_for(store: Store) -> None:
    await store.write(Batch(rows=rows_of("a", [(0, (1.0, None, None))])))
    async with holding(store):
        rolling = asyncio.create_task(store.roll_up(END))
        done, _ = await asyncio.wait([rolling], timeout=0.5)
        assert not done
        assert (await store.rollup_state()).frontier == EPOCH
    await rolling
    assert (await store.rollup_state()).frontier > EPOCH


@asynccontextmanager
async def holding(store: Store) -> AsyncIterator[None]:
    async with store.transaction() as cursor:
        await cursor.execute(query("hold_frontier"))
        yield


async def test_one_process_rolls_up_at_a_time(store: Store) -> None:
    async with store.transaction() as cursor:
        await cursor.execute(query("roller_lock"))
        with pytest.raises(RollerBusyError):
            await store.roll_up(END)
    await store.roll_up(END)


async def test_what_is_late_by_years_is_rolled_up_in_slices(store: Store) -> None:
    await roll_up_all(store, END)
    given = [(-n * 3_600_000, (float(n), None, None)) for n in range(600)]
    await store.write(Batch(rows=rows_of("a", given)))
    assert 3 * SLICE_MINUTES < 600 * 60
    first = await store.roll_up(END, most_slices=1)
    assert (first.more, first.readings) == (True, -(-SLICE_MINUTES // 60))
    await roll_up_all(store, END)
    assert sum(one[2] for one in await kept(store, "a", LEVELS[3])) == 600
