from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.marks import MOST_STRETCHES, advance, holes, stretches
from gateway.store import SourceMark

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
NOTHING = SourceMark("press-7", "b", 0, (), NOW)


def contiguous(seqs: set[int], first: int = 1) -> int:
    """The largest n such that all of first..n are there, or first - 1."""
    n = first - 1
    while n + 1 in seqs:
        n += 1
    return n


@given(
    st.lists(st.lists(st.integers(1, 60), max_size=30), max_size=20),
)
def test_however_numbers_come_the_mark_is_the_end_of_what_is_there_from_1_on(groups: list[list[int]]) -> None:
    mark, there = NOTHING, set[int]()
    for group in groups:
        there |= set(group)
        mark = advance(mark, group, 1, NOW)
        assert mark.seq == contiguous(there)
        assert {seq for low, high in mark.above for seq in range(low, high + 1)} == {
            seq for seq in there if seq > mark.seq
        }
        missing = {seq for low, high in holes(mark) for seq in range(low, high + 1)}
        assert missing == set(range(mark.seq + 1, max(there, default=0) + 1)) - there


@given(st.permutations(range(1, 200)))
def test_any_order_ends_at_the_same_mark(order: list[int]) -> None:
    mark = NOTHING
    for seq in order:
        mark = advance(mark, [seq], 1, NOW)
    assert (mark.seq, mark.above) == (199, ())


@given(st.sets(st.integers(1, 100_000), max_size=50), st.integers(1, 100_000))
def test_what_the_source_no_longer_has_is_not_waited_for(seqs: set[int], first: int) -> None:
    mark = advance(NOTHING, seqs, first, NOW)
    assert mark.seq == contiguous(seqs, first)


def test_more_stretches_than_are_kept_claim_less_and_never_more() -> None:
    odd = range(3, 3 + 4 * MOST_STRETCHES, 2)
    mark = advance(NOTHING, odd, 1, NOW)
    assert len(mark.above) == MOST_STRETCHES
    assert mark.above[0] == (3, 3)
    filled = advance(mark, range(1, 10_000_000, 2 * MOST_STRETCHES), 1, NOW)
    assert filled.seq == 1
    whole = advance(mark, range(1, 2 * MOST_STRETCHES + 2), 1, NOW)
    assert whole.seq == 2 * MOST_STRETCHES + 1
    assert whole.above == ()


def test_number_0_is_taken_and_nothing_waits_for_it() -> None:
    assert advance(NOTHING, [0], 1, NOW).seq == 0
    assert advance(NOTHING, [1, 2], 1, NOW).seq == 2


def test_a_mark_never_goes_back() -> None:
    mark = SourceMark("press-7", "b", 50, (), NOW)
    assert advance(mark, [3, 4], 1, NOW).seq == 50


@given(st.lists(st.integers(0, 100)))
def test_stretches_hold_what_was_given_and_do_not_touch(seqs: list[int]) -> None:
    found = stretches(seqs)
    assert {seq for low, high in found for seq in range(low, high + 1)} == set(seqs)
    assert all(low - before > 1 for (_, before), (low, _) in pairwise(found))
