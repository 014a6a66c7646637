"""The checker of the benchmarks against a real database: what it finds is what was written."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fixtures.stored import NOW, held

from broker.telemetry import Row
from enms.bench.check import judge
from enms.bench.truth import MODULUS, Load
from gateway.store import Batch, Store
from gateway.store.bulk import Bulk

LOAD = Load(machines=3, metrics=5, base_ms=1_772_625_599_000, spacing_ms=1000)
SENT = 40


@pytest.fixture
async def bulk(database_url: str, store: Store) -> AsyncIterator[Bulk]:
    await store.ping()  # it has made the tables
    opened = Bulk(database_url)
    await opened.open()
    yield opened
    await opened.close()


def row(number: int) -> Row:
    machine, tick = number % LOAD.machines, number // LOAD.machines
    ts = datetime.fromtimestamp(LOAD.time_ms(number) / 1000, UTC)
    values = LOAD.hundredths(np.array([machine]), np.array([tick]))[0] / 100
    return Row(LOAD.name(machine), ts, ts, LOAD.names, tuple(values.tolist()))


async def test_what_was_written_once_is_found_perfect(store: Store, bulk: Bulk) -> None:
    await store.write(Batch(rows=[row(number) for number in range(SENT)]))
    verdict = judge(LOAD, SENT, await bulk.held(LOAD.base_ms, LOAD.spacing_ms, MODULUS))
    assert (verdict.perfect, verdict.readings, await bulk.count()) == (True, SENT * 5, SENT)


async def test_a_row_that_was_not_written_is_lost(store: Store, bulk: Bulk) -> None:
    await store.write(Batch(rows=[row(number) for number in range(SENT) if number != 17]))
    verdict = judge(LOAD, SENT, await bulk.held(LOAD.base_ms, LOAD.spacing_ms, MODULUS))
    assert (verdict.lost, verdict.twice) == (5, 0)


async def test_rows_are_told_as_they_become_visible(store: Store, bulk: Bulk) -> None:
    await store.write(Batch(rows=[row(number) for number in range(6)]))
    name = LOAD.name(1)
    numbers = await bulk.machine_ids([name, "bench-99999"])
    start = datetime.fromtimestamp(LOAD.base_ms / 1000 - 1, UTC)
    first = await bulk.newer({numbers[name]: start})
    assert [ts for _, ts in first] == [row(1).ts, row(4).ts]
    await store.write(Batch(rows=[row(7)]))
    assert await bulk.newer({numbers[name]: first[-1][1]}) == [(numbers[name], row(7).ts)]
    assert set(numbers) == {name}
    assert await bulk.there(name, row(7).ts)
    assert not await bulk.there(name, row(8).ts)


async def test_a_span_is_filled_with_a_reading_a_second_and_the_spike(store: Store, bulk: Bulk) -> None:
    start = datetime(2026, 3, 4, 12, tzinfo=UTC)
    await store.write(Batch(rows=[Row("year", start, start, ("power_kw",), (40.0,))]))
    spike_at = start + timedelta(seconds=77)
    new = await bulk.fill(
        "year", start + timedelta(seconds=1), start + timedelta(minutes=2), spike_at, 987.65
    )
    found = {NOW - timedelta(seconds=ago): value for ago, value in (await held(store, "year"))["power_kw"]}
    assert (new, len(found), [ts for ts, value in found.items() if value == 987.65]) == (119, 120, [spike_at])
    assert all(20 <= value <= 70 for ts, value in found.items() if ts != spike_at)
    assert (await bulk.bytes()).all > (await bulk.bytes()).samples > 0
