"""Into the database, and only then acknowledged; a poisoned message stands alone, the rest is kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fixtures.deliveries import NOW, Deliveries

from broker.telemetry import Number
from gateway import committing as module
from gateway.ingest import AT_ONCE, Ingest
from gateway.registry import Registry
from gateway.rejects import Rejects
from gateway.store import (
    BadBatchError,
    Batch,
    NumberedBatch,
    Redelivery,
    SourceMark,
    StoreTooSlowError,
    StoreUnavailableError,
    Written,
)

POISON = -1.0


class Twin:
    """A store in memory: all of a batch or nothing, the same reading once, none of it while `away`."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str, Any], float] = {}
        self.texts: list[str] = []
        self.refused: list[str] = []
        self.numbers: list[Number] = []
        self.remembered: dict[int, int] = {}
        self.away = False
        self.slow_above = 10**9
        self.tells_which = False
        self.slow_first: asyncio.Event | None = None
        self.asked = 0

    async def redeliveries(self, session: str) -> dict[int, int]:
        assert session == "gateway-ingest"
        return dict(self.remembered)

    async def numbers_stored(self) -> tuple[list[SourceMark], list[NumberedBatch]]:
        return [], [NumberedBatch(one.client, one.boot, (one.seq,)) for one in self.numbers]

    async def forget_redeliveries(self, session: str) -> None:
        assert session == "gateway-ingest"
        self.remembered.clear()

    async def write(self, batch: Batch) -> Written:
        self.asked += 1
        await asyncio.sleep(0)
        wait, self.slow_first = self.slow_first, None
        if wait is not None:
            await wait.wait()
        if self.away:
            raise StoreUnavailableError("the database is away: on purpose")
        if len(batch.rows) > self.slow_above:
            raise StoreTooSlowError("too much at once: on purpose")
        found = [
            ((row.machine, metric, row.ts), value)
            for row in batch.rows
            for metric, value in zip(row.metrics, row.values, strict=True)
        ]
        if any(value == POISON for _, value in found):
            bad = [row for row in batch.rows if POISON in row.values] if self.tells_which else []
            raise BadBatchError("-1 can never be stored", bad)
        fresh = {key: value for key, value in found if key not in self.held}
        self.held.update(fresh)
        self.texts += [one.text for one in batch.states]
        self.refused += [one.record.reason for one in batch.rejected]
        self.numbers += batch.numbers
        if batch.redelivery is not None:
            self.remember(batch.redelivery)
        return Written(len(fresh), len(found) - len(fresh), len(batch.states), (), ())

    def remember(self, redelivery: Redelivery) -> None:
        self.remembered |= dict(zip(redelivery.mids, redelivery.hashes, strict=True))


class Bench:
    """An ingest between made-up deliveries and the twin."""

    def __init__(self, store: Twin | None = None) -> None:
        self.intake, self.store = Deliveries(), store or Twin()
        self.rejects, self.registry = Rejects(), Registry()
        self.ingest = Ingest(self.intake, self.store, self.registry, self.rejects)  # type: ignore[arg-type]

    async def take(self, *bodies: Any, **more: Any) -> None:
        for body in bodies:
            self.intake.deliver(body, **more)

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not happened():  # noqa: ASYNC110  what is waited for tells nobody
                await asyncio.sleep(0.005)

    async def all_acked(self) -> None:
        await self.until(lambda: len(self.intake.acked) == len(self.intake.sent))
        assert self.intake.acked == self.intake.sent

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.ingest.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def row(number: int, value: float) -> dict[str, float]:
    return {"ts": NOW.timestamp() - number, "a": value}


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


async def test_an_untimed_message_that_was_committed_and_comes_again_is_not_a_second_reading() -> None:
    store = Twin()
    bench = Bench(store)
    await bench.take(b"21.5", topic="telemetry/press-7/pressure_bar")
    async with bench.running():
        await bench.all_acked()
    again = Bench(store)  # another process, as after a kill
    await again.take(b"21.5", topic="telemetry/press-7/pressure_bar", again=1)
    await again.take(b"21.5", topic="telemetry/press-7/pressure_bar")
    async with again.running():
        await again.until(lambda: len(again.intake.acked) == 2)
    assert again.ingest.counts.again_ignored == 1
    assert again.ingest.counts.readings == 1
    assert len(store.held) == 2


@pytest.mark.parametrize(
    ("body", "topic"),
    [(b"21.6", "telemetry/press-7/pressure_bar"), (b"21.5", "telemetry/press-8/pressure_bar")],
)
async def test_another_message_under_the_same_packet_id_is_taken(body: bytes, topic: str) -> None:
    bench = Bench()
    await bench.take(b"21.5", topic="telemetry/press-7/pressure_bar")
    async with bench.running():
        await bench.all_acked()
        bench.intake.reconnect()
        await bench.take(body, topic=topic, again=1)
        await bench.until(lambda: len(bench.intake.acked) == 2)
    assert bench.ingest.counts.again_ignored == 0
    assert bench.ingest.counts.messages == 2


async def test_packet_ids_of_a_session_the_broker_lost_mean_nothing() -> None:
    bench = Bench()
    await bench.take(b"21.5", topic="telemetry/press-7/pressure_bar")
    async with bench.running():
        await bench.all_acked()
        bench.intake.reconnect(session_present=False)
        await bench.take(b"21.5", topic="telemetry/press-7/pressure_bar", again=1)
        await bench.until(lambda: len(bench.intake.acked) == 2)
    assert bench.ingest.counts.again_ignored == 0


async def test_the_numbers_of_messages_are_stored_with_them_also_of_refused_ones() -> None:
    bench = Bench()
    told = (("client", "line-3"), ("boot", "a-boot"), ("seq", "7"))
    await bench.take({"a": 1}, user=told)
    await bench.take({"seq": 4, "boot": "b-boot", "a": 2})
    await bench.take(b"{", user=(("boot", "a-boot"), ("seq", "8"), ("client", "line-3")))
    async with bench.running():
        await bench.all_acked()
    assert bench.store.numbers == [
        Number("line-3", "a-boot", 7),
        Number("press-7", "b-boot", 4),
        Number("line-3", "a-boot", 8),
    ]


async def test_a_numbered_message_without_a_time_that_its_source_sends_again_is_not_a_second_reading() -> (
    None
):
    told = (("client", "line-3"), ("boot", "a-boot"), ("seq", "7"))
    bench = Bench()
    await bench.take({"a": 1}, user=told)
    async with bench.running():
        await bench.all_acked()
        await bench.take({"a": 1}, user=told)
        await bench.all_acked()
    again = Bench(bench.store)  # another process, as after a kill
    await again.take({"a": 1}, user=told)
    await again.take({"a": 1}, user=(("client", "line-3"), ("boot", "b-boot"), ("seq", "7")))
    async with again.running():
        await again.all_acked()
    assert bench.ingest.counts.again_ignored == again.ingest.counts.again_ignored == 1
    assert again.ingest.counts.readings == bench.ingest.counts.readings == 1


async def test_a_number_of_another_machine_hides_nothing() -> None:
    told = (("client", "line-3"), ("boot", "a-boot"), ("seq", "7"))
    bench = Bench()
    await bench.take({"a": 1}, user=told, topic="telemetry/press-8")
    async with bench.running():
        await bench.all_acked()
        await bench.take({"a": 1}, user=told)
        await bench.all_acked()
    assert bench.ingest.counts.readings == 2


async def test_no_machine_numbers_messages_in_the_name_of_another() -> None:
    bench = Bench()
    await bench.take({"a": 1})
    await bench.take(
        {"a": 1}, topic="telemetry/evil-1", user=(("client", "press-7"), ("boot", "b"), ("seq", "1"))
    )
    async with bench.running():
        await bench.all_acked()
    assert bench.store.numbers == []
    assert bench.ingest.counts.readings == 2


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
