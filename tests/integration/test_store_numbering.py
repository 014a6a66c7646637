"""What marks messages as stored goes with their batch, or not at all."""

from collections.abc import Sequence

import pytest
from fixtures.stored import NOW, ago, row

from broker.telemetry import Number
from gateway.store import BadBatchError, Batch, NumberedBatch, Redelivery, SourceMark, Store, numbering


def numbered(client: str, boot: str, *seqs: int) -> list[Number]:
    return [Number(client, boot, seq) for seq in seqs]


async def taken(store: Store, marks: Sequence[SourceMark] = ()) -> list[NumberedBatch]:
    """Take what is noted, and put `marks` in the place of the sources'."""
    found: list[NumberedBatch] = []

    def merge(_: Sequence[SourceMark], batches: Sequence[NumberedBatch]) -> Sequence[SourceMark]:
        found.extend(batches)
        return marks

    await store.take_numbers(merge)
    return found


async def test_numbers_are_noted_with_their_batch_and_taken_once(store: Store) -> None:
    both = [
        *numbered("a", "1", 5, 2**63 - 1),
        *numbered("b", "1", 1),
        *numbered("a", "2", 0),
        Number("a", "1", 7),
    ]
    await store.write(Batch(rows=[row("a", 1, x=1.0)], numbers=both))
    await store.write(Batch(numbers=numbered("a", "1", 8)))
    assert await taken(store) == [
        NumberedBatch("a", "1", (5, 2**63 - 1, 7)),
        NumberedBatch("b", "1", (1,)),
        NumberedBatch("a", "2", (0,)),
        NumberedBatch("a", "1", (8,)),
    ]
    assert await taken(store) == []


async def test_numbers_of_a_batch_that_is_refused_are_not_noted(store: Store) -> None:
    with pytest.raises(BadBatchError):
        await store.write(Batch(rows=[row("a", 1, x=1e999)], numbers=numbered("a", "1", 1)))
    with pytest.raises(BadBatchError):
        await store.write(Batch(rows=[row("a\0", 1, x=1.0)], numbers=numbered("a", "1", 1)))
    assert await taken(store) == []


async def test_marks_come_back_and_take_the_place_of_those_before(store: Store) -> None:
    first = [SourceMark("b", "1", 9, (), ago(5)), SourceMark("a", "1", 2**62, ((2**62 + 2, 2**62 + 3),), NOW)]
    await store.write(Batch(numbers=numbered("a", "1", 1)))
    await taken(store, first)
    assert await store.sources() == first[::-1]
    assert await store.sources(["b", "c"]) == first[:1]
    seen: list[SourceMark] = []

    def merge(sources: Sequence[SourceMark], _: Sequence[NumberedBatch]) -> list[SourceMark]:
        seen.extend(sources)
        return [SourceMark("b", "2", 1, ((3, 3), (5, 9)), NOW), SourceMark("b", "1", 10, (), ago(4))]

    await store.write(Batch(numbers=numbered("b", "2", 1)))
    made = await store.take_numbers(merge)
    assert seen == first[:1]
    assert await store.sources(["b"]) == made[::-1]


async def test_numbers_stay_noted_where_merging_fails(store: Store) -> None:
    def fails(_: Sequence[SourceMark], __: Sequence[NumberedBatch]) -> list[SourceMark]:
        raise ZeroDivisionError

    await store.write(Batch(numbers=numbered("a", "1", 1)))
    with pytest.raises(ZeroDivisionError):
        await store.take_numbers(fails)
    assert await taken(store) == [NumberedBatch("a", "1", (1,))]


async def test_what_may_come_again_is_remembered_for_so_many_messages(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "REMEMBERED_MESSAGES", 100)
    for start in range(1, 200, 10):
        mids = range(start, start + 3)
        again = Redelivery("ingest", mids, [-(2**63) + mid for mid in mids], messages=10)
        await store.write(Batch(redelivery=again))
    await store.write(Batch(redelivery=Redelivery("other", [7], [2**63 - 1], messages=500)))
    await store.write(Batch(redelivery=Redelivery("ingest", [191], [5], messages=1)))
    found = await store.redeliveries("ingest")
    assert found[191] == 5
    assert min(found) == 101  # those of the last 100 messages, and the rest of the batch where those begin
    assert len(found) == 30
    assert await store.redeliveries("other") == {7: 2**63 - 1}
    await store.forget_redeliveries("ingest")
    assert await store.redeliveries("ingest") == {}


async def test_what_may_come_again_is_forgotten_with_a_batch_that_is_refused(store: Store) -> None:
    with pytest.raises(BadBatchError):
        await store.write(
            Batch(rows=[row("a\0", 1, x=1.0)], redelivery=Redelivery("ingest", [1], [1], messages=1))
        )
    assert await store.redeliveries("ingest") == {}


async def test_old_boots_are_forgotten_but_for_the_latest_of_a_client(store: Store) -> None:
    marks = [
        SourceMark("a", "1", 9, (), ago(9000)),
        SourceMark("a", "2", 9, (), ago(5000)),
        SourceMark("b", "1", 9, (), ago(9000)),
    ]
    await store.write(Batch(numbers=numbered("a", "1", 1)))
    await taken(store, marks)
    assert await store.drop_old_sources(before=ago(100)) == 1
    assert [(one.client, one.boot) for one in await store.sources()] == [("a", "2"), ("b", "1")]
