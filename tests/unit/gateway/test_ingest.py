"""Into the database, and only then acknowledged; a poisoned message stands alone, the rest is kept."""

import asyncio

import pytest
from fixtures.deliveries import NOW
from fixtures.ingest import POISON, Bench, row

from gateway import committing as module
from gateway.ingest import AT_ONCE


async def test_a_batch_is_stored_and_then_acknowledged() -> None:
    bench = Bench()
    await bench.take(*(row(number, number) for number in range(500)))
    async with bench.running():
        await bench.all_acked()
    assert sorted(bench.store.held.values()) == list(range(500))
    assert bench.ingest.counts.readings == bench.ingest.counts.messages == 500
    assert bench.store.asked == bench.ingest.counts.batches == 1


@pytest.mark.parametrize(
    "poisoned", [[0], [7], [99], [0, 99], [10, 11, 12], list(range(0, 100, 7)), list(range(100))]
)
async def test_every_good_message_beside_poisoned_ones_is_kept(poisoned: list[int]) -> None:
    bench = Bench()
    await bench.take(*(row(n, POISON if n in poisoned else n) for n in range(100)))
    async with bench.running():
        await bench.all_acked()
    assert sorted(bench.store.held.values()) == [n for n in range(100) if n not in poisoned]
    assert bench.store.refused == ["database"] * len(poisoned)
    assert [(one.source, one.message.count) for one in bench.rejects.news()] == [("press-7", len(poisoned))]


async def test_one_poisoned_message_costs_few_questions() -> None:
    bench = Bench()
    await bench.take(*(row(n, POISON if n == 77 else n) for n in range(1000)))
    async with bench.running():
        await bench.all_acked()
    assert bench.store.asked <= 25


async def test_nothing_is_acknowledged_while_the_database_is_away_and_all_of_it_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "backoff_s", lambda _attempt, _jitter: 0.01)
    bench = Bench()
    bench.store.away = True
    await bench.take(row(1, 1), row(2, POISON), row(3, 3))
    async with bench.running():
        await bench.until(lambda: bench.store.asked >= 5)
        assert bench.intake.acked == []
        assert bench.rejects.total == {}
        bench.store.away = False
        await bench.all_acked()
    assert sorted(bench.store.held.values()) == [1, 3]
    assert bench.rejects.total == {"database": 1}


async def test_no_more_than_a_few_batches_are_read_while_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "backoff_s", lambda _attempt, _jitter: 0.01)
    bench = Bench()
    bench.store.away = True
    async with bench.running():
        for number in range(1, AT_ONCE + 2):
            await bench.take(row(number, number))
            await bench.until(lambda number=number: bench.ingest.counts.messages == number)  # type: ignore[misc]
        await bench.take(row(99, 99))
        asked = bench.store.asked
        await bench.until(lambda: bench.store.asked >= asked + 5 * AT_ONCE)
        assert bench.ingest.counts.messages == AT_ONCE + 1
        bench.store.away = False
        await bench.all_acked()


async def test_batches_that_are_stored_out_of_order_are_acknowledged_in_their_order() -> None:
    bench = Bench()
    await bench.take(row(1, 1))
    async with bench.running():
        await bench.until(lambda: bench.ingest.counts.batches == 1)
        go_on = bench.store.slow_first = asyncio.Event()
        await bench.take(row(2, 2))
        await bench.until(lambda: bench.store.asked == 2)
        await bench.take(row(3, 3))
        await bench.until(lambda: len(bench.store.held) == 2)
        assert sorted(bench.store.held.values()) == [1, 3]
        assert bench.intake.acked == [1]
        go_on.set()
        await bench.all_acked()


async def test_the_same_message_again_changes_nothing() -> None:
    bench = Bench()
    await bench.take(row(1, 1), row(1, 1), row(1, 1))
    async with bench.running():
        await bench.all_acked()
    assert bench.store.held == {("press-7", "a", NOW.replace(second=59, minute=59, hour=11)): 1.0}
    assert bench.ingest.counts.doubles == 2


async def test_a_packet_with_the_retain_flag_is_no_reading() -> None:
    bench = Bench()
    await bench.take(row(1, 1), retained=True)
    async with bench.running():
        await bench.all_acked()
    assert bench.store.held == {}
    assert bench.ingest.counts.retained_ignored == 1
    assert bench.registry.names() == []


async def test_garbage_is_acknowledged_counted_and_kept_as_refused() -> None:
    bench = Bench()
    await bench.take(b"", b"\xff", b'{"ts": ' + b"9" * 400 + b', "a": 1}', {"a": []})
    async with bench.running():
        await bench.all_acked()
    assert bench.store.refused == ["empty", "not_json", "clock", "not_a_number"]
    assert bench.ingest.counts.rejected == 4


async def test_a_text_of_a_field_that_was_a_number_is_refused_and_others_are_states() -> None:
    bench = Bench()
    await bench.take({"speed": 1, "mode": "idle"}, {"speed": "fast", "mode": "busy"})
    async with bench.running():
        await bench.all_acked()
    assert bench.store.texts == ["idle", "busy"]
    assert bench.store.refused == ["not_a_number"]


async def test_a_machine_announces_itself_and_garbage_is_refused() -> None:
    bench = Bench()
    await bench.take({"name": "Press 7"}, b"{", topic="announce/press-7")
    async with bench.running():
        await bench.all_acked()
    known = bench.registry.machine("press-7")
    assert known is not None
    assert known.name == "Press 7"
    assert bench.store.refused == ["bad_announce"]


async def test_finish_waits_for_the_batch_at_hand_and_lets_no_other_begin() -> None:
    bench = Bench()
    await bench.take(row(1, 1))
    async with bench.running():
        await bench.until(lambda: bench.store.asked == 1)
        await bench.ingest.finish(5)
        assert bench.intake.acked == [1]
        await bench.take(row(2, 2))
        await asyncio.sleep(0.15)
        assert bench.intake.acked == [1]
        assert bench.store.asked == 1


async def test_finish_gives_up_after_its_time() -> None:
    bench = Bench()
    bench.store.away = True
    await bench.take(row(1, 1))
    async with bench.running():
        await bench.until(lambda: bench.store.asked == 1)
        await bench.ingest.finish(0.05)
        assert bench.intake.acked == []


async def test_a_batch_that_is_too_slow_is_halved_until_it_is_not() -> None:
    bench = Bench()
    bench.store.slow_above = 10
    await bench.take(*(row(number, number) for number in range(100)))
    async with bench.running():
        await bench.all_acked()
    assert sorted(bench.store.held.values()) == list(range(100))
    assert bench.store.refused == []


async def test_the_present_is_told_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "backoff_s", lambda _attempt, _jitter: 0.01)
    bench = Bench()
    assert bench.ingest.held.is_set()
    await bench.take(row(1, 1))
    async with bench.running():
        await bench.until(lambda: not bench.ingest.held.is_set())
        await bench.all_acked()
        bench.store.away = True
        await bench.take(row(2, 2))
        await bench.until(bench.ingest.held.is_set)
        bench.store.away = False
        await bench.until(lambda: not bench.ingest.held.is_set())


async def test_rows_the_database_names_are_taken_out_at_once_and_the_rest_of_a_list_is_kept() -> None:
    bench = Bench()
    bench.store.tells_which = True
    await bench.take([row(1, 1), row(2, POISON), row(3, 3)], {"mode": "idle"}, row(4, POISON), row(5, 5))
    async with bench.running():
        await bench.all_acked()
    assert sorted(bench.store.held.values()) == [1, 3, 5]
    assert bench.store.texts == ["idle"]
    assert bench.store.refused == ["database", "database"]
    assert bench.store.asked == 2
