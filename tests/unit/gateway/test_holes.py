from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.holes import PATIENCE, TOLD_EVERY, Holes
from gateway.marks import advance
from gateway.store import SourceMark

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Source:
    """What a client has in the database, told to the holes as it comes."""

    def __init__(self, holes: Holes, boot: str = "b") -> None:
        self.holes = holes
        self.mark = SourceMark("press-7", boot, 0, (), NOW)

    def commit(self, *seqs: int, now: datetime = NOW, first: int = 1) -> None:
        self.mark = advance(self.mark, seqs, first, now)
        self.holes.take(self.mark, first, now)


def test_a_hole_is_counted_within_ten_seconds_and_told_once() -> None:
    holes = Holes()
    Source(holes).commit(1, 2, 5, 6, 9)
    assert holes.news(NOW + PATIENCE - SECOND) == []
    assert holes.missing.get("press-7", 0) == 0
    (gap,) = holes.news(NOW + PATIENCE)
    assert timedelta(seconds=10) > PATIENCE + SECOND
    assert (gap.client, gap.boot, gap.missing, gap.filled) == ("press-7", "b", ((3, 4), (7, 8)), ())
    assert holes.missing["press-7"] == 4
    assert holes.news(NOW + timedelta(hours=1)) == []


def test_a_hole_that_fills_in_time_is_never_told() -> None:
    holes = Holes()
    source = Source(holes)
    source.commit(1, 4)
    source.commit(2, 3, now=NOW + SECOND)
    assert holes.news(NOW + timedelta(hours=1)) == []


def test_what_comes_after_all_is_taken_off_and_told() -> None:
    holes = Holes()
    source = Source(holes)
    source.commit(1, 10)
    holes.news(NOW + PATIENCE)
    later = NOW + PATIENCE + TOLD_EVERY
    source.commit(4, 5, now=later)
    (gap,) = holes.news(later)
    assert (gap.missing, gap.filled) == ((), ((4, 5),))
    assert holes.missing["press-7"] == 6
    source.commit(2, 3, 6, 7, 8, 9, now=later)
    assert holes.missing["press-7"] == 0


def test_of_a_client_no_more_than_one_alert_comes_in_ten_seconds() -> None:
    holes = Holes()
    source = Source(holes)
    told = []
    for second in range(60):
        now = NOW + second * SECOND
        source.commit(2 * second + 2, now=now)
        told += [(second, gap) for gap in holes.news(now)]
    assert [second for second, _ in told] == [8, 18, 28, 38, 48, 58]
    (last,) = holes.news(NOW + 68 * SECOND)
    assert holes.missing["press-7"] == 60
    every = [*(gap for _, gap in told), last]
    assert sum(high - low + 1 for gap in every for low, high in gap.missing) == 60, "all of it is told"


def test_what_the_source_gave_up_is_missing_at_once_and_for_good() -> None:
    holes = Holes()
    source = Source(holes)
    source.commit(1, 10)
    source.commit(11, now=NOW + SECOND, first=6)
    (gap,) = holes.news(NOW + SECOND)
    assert gap.missing == ((2, 5),)
    assert gap.filled == ()
    assert holes.missing["press-7"] == 4
    assert source.mark.seq == 5


def test_what_the_source_gave_up_unheard_is_missing_too() -> None:
    holes = Holes()
    source = Source(holes)
    source.commit(1)
    source.commit(41, 42, now=NOW + SECOND, first=41)
    (gap,) = holes.news(NOW + SECOND)
    assert gap.missing == ((2, 40),)
    assert holes.missing["press-7"] == 39


def test_a_boot_that_ended_stays_counted() -> None:
    holes = Holes()
    Source(holes).commit(1, 3)
    holes.news(NOW + PATIENCE)
    Source(holes, "c").commit(1, 2, now=NOW + PATIENCE)
    assert holes.missing["press-7"] == 1


def test_a_source_already_running_when_first_seen_has_no_hole_where_it_says_so() -> None:
    holes = Holes()
    Source(holes).commit(5000, 5001, first=5000)
    assert holes.news(NOW + timedelta(hours=1)) == []


@given(st.permutations(range(1, 40)))
def test_in_the_end_nothing_is_missing_whatever_the_order(order: list[int]) -> None:
    holes = Holes()
    source = Source(holes)
    now = NOW
    missing = filled = 0
    for seq in order:
        now += 7 * SECOND
        source.commit(seq, now=now)
        for gap in holes.news(now):
            missing += sum(high - low + 1 for low, high in gap.missing)
            filled += sum(high - low + 1 for low, high in gap.filled)
    for gap in holes.news(now + TOLD_EVERY):
        filled += sum(high - low + 1 for low, high in gap.filled)
    assert holes.missing.get("press-7", 0) == 0
    assert missing == filled
