"""History from a real PostgreSQL against the same sums in plain Python."""

import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fixtures.stored import NOW, ago, batch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.messages import Machine, MetricInfo
from broker.telemetry import Row, State
from gateway.history import (
    BadHistoryQueryError,
    HistoryQuery,
    HistorySeries,
    UnknownHistoryError,
    bucket_origin,
    bucket_width,
    history,
)
from gateway.store import Batch, Store
from gateway.store.queries import query

SUMMED_MOST = 1e290
"""Numbers beyond this are not added up, or a sum of many would be infinite: their mean is only bounded."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Given = tuple[int, float]


def oracle(rows: Sequence[Given], start: datetime, end: datetime, points: int) -> list[tuple[float, ...]]:
    """What history should answer: (ms since 1970, min, mean, max, count) by plain Python."""
    within = sorted(dict(reversed(rows)).items())
    within = [(ms, v) for ms, v in within if start <= EPOCH + timedelta(milliseconds=ms) < end]
    if len(within) <= points:
        return [(ms, v, v, v, 1) for ms, v in within]
    width = bucket_width(start, end, points) // timedelta(milliseconds=1)
    first = (bucket_origin(start, points) - EPOCH) // timedelta(milliseconds=1)
    buckets: dict[int, list[float]] = {}
    for ms, value in within:
        buckets.setdefault(ms - (ms - first) % width, []).append(value)
    return [(ms, min(v), math.fsum(v) / len(v), max(v), len(v)) for ms, v in buckets.items()]


def rows_of(series: HistorySeries) -> list[tuple[float, ...]]:
    return list(zip(series.ts, series.min, series.mean, series.max, series.count, strict=True))


NOW_MS = (NOW - EPOCH) // timedelta(milliseconds=1)
times_ms = st.one_of(
    st.integers(NOW_MS - 10_000, NOW_MS),
    st.integers(NOW_MS - 40 * 86_400_000, NOW_MS),
    st.sampled_from([NOW_MS - 3_600_000, NOW_MS, NOW_MS - 1]),
)
readings = st.lists(st.tuples(times_ms, st.floats(-1e300, 1e300)), min_size=1, max_size=60)
spans = st.one_of(
    st.timedeltas(timedelta(milliseconds=1), timedelta(seconds=12)),
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=50)),
)


numbers = itertools.count()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=readings,
    span=spans,
    back_ms=st.integers(0, 5000),
    points=st.integers(1, 40),
    late=st.integers(0, 20),
    rounds=st.integers(0, 2),
)
async def test_history_equals_the_same_sums_in_plain_python(
    store: Store, rows: list[Given], span: timedelta, back_ms: int, points: int, late: int, rounds: int
) -> None:
    machine = f"m{next(numbers)}"
    end = NOW + timedelta(milliseconds=1) - timedelta(milliseconds=back_ms)
    start = end - span // timedelta(milliseconds=1) * timedelta(milliseconds=1)
    arrived = [Row(machine, EPOCH + timedelta(milliseconds=ms), NOW, ("x",), (value,)) for ms, value in rows]
    # What comes first is rolled up, what comes late is not yet, or only by the minute.
    first = max(0, len(rows) - late)
    await store.write(Batch(rows=arrived[:first]))
    for _ in range(rounds):
        await store.roll_up(NOW, most_slices=1)
    await store.write(Batch(rows=arrived[first:]))
    asked = HistoryQuery.of(machine, NOW, start=start, end=end, points=points)
    (found,) = (await history(store, asked)).series
    expected = oracle(rows, start, end, points)
    assert [(one[0], one[1], one[3], one[4]) for one in rows_of(found)] == [
        (one[0], one[1], one[3], one[4]) for one in expected
    ]
    assert len(found.ts) <= points
    for have, want in zip(rows_of(found), expected, strict=True):
        assert want[1] <= have[2] <= want[3]
        largest = max(abs(want[1]), abs(want[3]))
        if largest <= SUMMED_MOST:
            assert math.isclose(have[2], want[2], rel_tol=1e-9, abs_tol=1e-12 * largest)


async def test_few_readings_come_as_they_were_and_many_in_buckets(store: Store) -> None:
    rows = [("a", "x_kw", float(n), float(n)) for n in range(100)] + [("a", "y_c", 50.0, 7.0)]
    await store.write(batch(*rows))
    found = await history(store, HistoryQuery.of("a", NOW, points=30))
    dense, sparse = found.series
    assert (found.machine, found.start, found.end) == ("a", ago(3600), NOW)
    assert (dense.metric, dense.unit, dense.bucket_s) == ("x_kw", "kW", 120.0)
    assert dense.ts == [ms(ago(120))]
    assert (dense.min, dense.mean, dense.max, dense.count) == ([1.0], [50.0], [99.0], [99])
    assert (sparse.metric, sparse.unit, sparse.bucket_s) == ("y_c", "°C", 0.0)
    assert (sparse.ts, sparse.mean, sparse.count) == ([ms(ago(50))], [7.0], [1])


async def test_a_gap_stays_a_gap(store: Store) -> None:
    rows = [("a", "x", seconds, 1.0) for n in range(60) for seconds in (n + 0.5, n + 3000.5)]
    await store.write(batch(*rows))
    (found,) = (await history(store, HistoryQuery.of("a", NOW, points=100))).series
    gaps_s = [(after - before) / 1000 for before, after in itertools.pairwise(found.ts)]
    assert found.bucket_s == 60.0
    assert found.ts == [ms(ago(3060)), ms(ago(60))]
    assert gaps_s == [3000.0]


async def test_a_metric_without_readings_in_the_span_is_empty(store: Store) -> None:
    await store.write(batch(("a", "x", 7200.0, 1.0)))
    (found,) = (await history(store, HistoryQuery.of("a", NOW))).series
    assert rows_of(found) == []


async def test_metrics_come_in_the_order_they_were_asked_for(store: Store) -> None:
    await store.write(batch(("a", "x", 1, 1.0), ("a", "y", 1, 1.0), ("a", "z", 1, 1.0)))
    found = await history(store, HistoryQuery.of("a", NOW, metrics=["z", "x"]))
    assert [one.metric for one in found.series] == ["z", "x"]


async def test_an_announced_unit_is_the_unit(store: Store) -> None:
    await store.write(batch(("a", "flow_kw", 1, 1.0)))
    announced = {"flow_kw": MetricInfo(unit="MW")}
    await store.save_machine(Machine(machine="a", name="a", first_seen=NOW, metrics=announced))
    (found,) = (await history(store, HistoryQuery.of("a", NOW))).series
    assert found.unit == "MW"


async def test_what_is_not_there_is_said_to_be_unknown(store: Store) -> None:
    await store.write(Batch(states=[State("quiet", "mode", NOW, "idle")]))
    await store.write(batch(("a", "x", 1, 1.0)))
    with pytest.raises(UnknownHistoryError, match="no machine 'b'"):
        await history(store, HistoryQuery.of("b", NOW))
    with pytest.raises(UnknownHistoryError, match="no metric 'y'; it has x"):
        await history(store, HistoryQuery.of("a", NOW, metrics=["y"]))
    assert (await history(store, HistoryQuery.of("quiet", NOW))).series == []


async def test_too_many_metrics_must_be_named(store: Store) -> None:
    await store.write(batch(*(("a", f"k{n}", 1.0, 1.0) for n in range(51))))
    with pytest.raises(BadHistoryQueryError, match="51 metrics; name up to 50"):
        await history(store, HistoryQuery.of("a", NOW))
    found = await history(store, HistoryQuery.of("a", NOW, metrics=["k50"]))
    assert len(found.series) == 1


async def test_too_much_in_all_is_refused(store: Store) -> None:
    await store.write(batch(*(("a", f"k{n}", 1.0, 1.0) for n in range(6))))
    with pytest.raises(BadHistoryQueryError, match="6 metrics of 50000 points"):
        await history(store, HistoryQuery.of("a", NOW, points=50_000))
    assert len((await history(store, HistoryQuery.of("a", NOW, points=40_000))).series) == 6


async def test_a_spike_of_one_second_shows_in_a_year(store: Store) -> None:
    rows = [("a", "x_kw", float(n * 1800), 5.0) for n in range(365 * 48)]
    await store.write(batch(*rows, ("a", "x_kw", 200 * 86_400.5, 99.0), ("a", "x_kw", 100 * 86_400.5, -7.0)))
    await store.roll_up(NOW + timedelta(minutes=1))
    asked = HistoryQuery.of("a", NOW, start=NOW - timedelta(days=365), points=1000)
    (found,) = (await history(store, asked)).series
    assert found.bucket_s == 43_200.0
    assert (max(found.max), min(found.min), sum(found.count)) == (99.0, -7.0, len(rows) + 1)


async def test_a_rare_metric_comes_as_it_was_from_among_many(store: Store) -> None:
    rows = [("a", "x", float(n * 60), 1.0) for n in range(3000)]
    rare = [("a", "rare", 7200.0 + n * 40_000, float(n)) for n in range(4)]
    await store.write(batch(*rows, *rare))
    await store.roll_up(NOW + timedelta(minutes=1))
    asked = HistoryQuery.of("a", NOW, metrics=["rare"], start=ago(200_000), points=100)
    (found,) = (await history(store, asked)).series
    assert (found.bucket_s, found.mean) == (0.0, [3.0, 2.0, 1.0, 0.0])
    assert found.ts == [ms(ago(7200 + n * 40_000)) for n in (3, 2, 1, 0)]


async def test_history_reads_through_indexes_and_only_the_weeks_asked_for(
    store: Store, database_url: str
) -> None:
    rows = [(f"m{n % 50}", "x", float(n * 600), 1.0) for n in range(3000)]
    await store.write(batch(*rows))
    await store.roll_up(NOW + timedelta(minutes=1))
    (series,) = await store.series("m7")
    values = {"series_ids": [series.id], "slots": [series.slot], "machine_id": series.machine_id}
    values |= {"width": timedelta(minutes=5), "origin": EPOCH, "first": ago(86_400), "last": NOW}
    values |= {"starts": [ago(86_400)], "ends": [NOW]}
    fine = query("history_of_level").replace(b"rollup_level", b"rollup_1m")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        for statement in (query("history_of_rows"), fine):
            plan = connection.execute(b"EXPLAIN " + statement, values).fetchall()
            text = "\n".join(line for (line,) in plan)
            assert "Seq Scan on sample" not in text
            assert "20260302" in text
            assert "20260223" not in text


def ms(time: datetime) -> int:
    return (time - EPOCH) // timedelta(milliseconds=1)
