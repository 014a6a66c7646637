"""Batches written to a real PostgreSQL."""

from datetime import UTC, datetime, timedelta

from broker.messages import Rejected
from broker.telemetry import Reading, State
from gateway.store import ArrivedReading, Batch, RejectedRow, Store

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def readings(*rows: tuple[str, str, float, float]) -> list[ArrivedReading]:
    """(machine, metric, seconds before NOW, value)."""
    return [
        ArrivedReading(Reading(machine, metric, NOW - timedelta(seconds=ago_s), value), NOW)
        for machine, metric, ago_s, value in rows
    ]


async def values(store: Store, machine: str) -> dict[str, list[tuple[float, float]]]:
    """Everything stored of a machine, by metric, as (seconds before NOW, value)."""
    series = await store.series(machine)
    start, end = NOW - timedelta(days=9000), NOW + timedelta(days=8)
    found = await store.raw_history([one.id for one in series], start, end)
    return {
        one.metric: [((NOW - point.ts).total_seconds(), point.mean) for point in found[one.id]]
        for one in series
    }


async def test_a_batch_is_stored_whole_and_says_what_is_new(store: Store) -> None:
    batch = Batch(
        readings=readings(("press-7", "power_kw", 1, 31.5), ("press-7", "flow", 1, 2.0)),
        states=[State("press-8", "operating_mode", NOW, "idle")],
        rejected=[RejectedRow("", Rejected(reason="x", text="y", topic="z", head="", size_bytes=0, ts=NOW))],
    )
    written = await store.write(batch)
    assert (written.stored, written.doubled, written.states_stored) == (2, 0, 1)
    assert written.new_machines == ("press-7", "press-8")
    assert written.new_series == (("press-7", "flow"), ("press-7", "power_kw"))
    assert await values(store, "press-7") == {"flow": [(1.0, 2.0)], "power_kw": [(1.0, 31.5)]}
    assert [one.record.topic for one in await store.rejected()] == ["z"]
