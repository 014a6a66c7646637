"""A message that comes again without a time of its own is no second reading; another one is."""

import pytest
from fixtures.ingest import Bench, Twin

from broker.telemetry import Number


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


async def test_the_number_of_a_message_that_is_stored_already_is_noted_again() -> None:
    told = (("client", "line-3"), ("boot", "a-boot"), ("seq", "7"))
    bench = Bench()
    await bench.take({"a": 1}, user=told)
    async with bench.running():
        await bench.all_acked()
        await bench.take({"a": 1}, user=told)
        await bench.all_acked()
    assert bench.ingest.counts.readings == 1
    assert bench.store.numbers == [Number("line-3", "a-boot", 7)] * 2
