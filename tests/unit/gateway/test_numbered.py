"""Numbers of stored messages, as the database had them and as they came since."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from broker.telemetry import Number
from gateway.numbered import REMEMBERED, NumbersStored
from gateway.store import NumberedBatch, SourceMark

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


@given(
    mark=st.integers(0, 20),
    above=st.sets(st.integers(22, 60)),
    since=st.lists(st.sets(st.integers(1, 90), min_size=1), max_size=5),
    asked=st.integers(0, 100),
)
def test_exactly_what_the_database_had_is_known(
    mark: int, above: set[int], since: list[set[int]], asked: int
) -> None:
    stored = NumbersStored()
    source = SourceMark("line", "b1", mark, tuple((one, one) for one in sorted(above)), NOW)
    stored.restore([source], [NumberedBatch("line", "b1", tuple(some)) for some in since])
    there = asked <= mark or asked in above or any(asked in some for some in since)
    assert stored.has("press-7", Number("line", "b1", asked)) == there
    assert not stored.has("press-7", Number("line", "b2", asked))


def test_only_the_last_numbers_are_remembered() -> None:
    stored = NumbersStored()
    for seq in range(REMEMBERED + 10):
        stored.note("press-7", [Number("line", "b1", seq)])
    assert not stored.has("press-7", Number("line", "b1", 9))
    assert stored.has("press-7", Number("line", "b1", 10))
