"""Which tables a span of history is read from, and how dirty minutes are noted and cut."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.dirty import Span, cut, dirty_spans
from gateway.store.levels import LEVELS
from gateway.store.packing import EPOCH
from gateway.store.pieces import Piece, Settled, plan, usable

MINUTE = timedelta(minutes=1)
DAY = datetime(2026, 3, 4, tzinfo=UTC)
DONE = {level.minutes: DAY for level in LEVELS}

times = st.integers(-5 * 1440 * 60_000, 2 * 1440 * 60_000).map(lambda ms: DAY + timedelta(milliseconds=ms))
stretches = st.tuples(times, st.integers(1, 3000)).map(
    lambda one: (LEVELS[0].floor(one[0]), LEVELS[0].floor(one[0]) + one[1] * MINUTE)
)


@st.composite
def settled(draw: st.DrawFn) -> Settled:
    done, at = {}, LEVELS[0].floor(draw(times))
    for level in LEVELS:
        at = level.floor(at)
        done[level.minutes] = at
    stale = {}
    for level in LEVELS[1:]:
        buckets = [level.floor(one) for one in draw(st.lists(times, max_size=3))]
        stale[level.minutes] = [(one, one + level.width) for one in buckets]
    return Settled(done, draw(st.lists(stretches, max_size=4)), stale)


@given(times, times, settled(), st.integers(0, 4))
def test_pieces_tile_the_span_and_use_only_what_is_final(
    one: datetime, other: datetime, known: Settled, count: int
) -> None:
    start, end = min(one, other), max(one, other)
    pieces = plan(start, end, known, LEVELS[:count])
    edges = [start, *(piece.end for piece in pieces)]
    assert [piece.start for piece in pieces] == edges[:-1]
    assert edges[-1] == end
    for piece in pieces:
        assert piece.start < piece.end
        if piece.level is None:
            continue
        assert piece.level in LEVELS[:count]
        assert piece.level.floor(piece.start) == piece.start
        assert piece.level.floor(piece.end) == piece.end
        assert piece.end <= known.done[piece.level.minutes]
        for since, until in known.doubts(piece.level):
            assert until <= piece.start or since >= piece.end


@given(times, times, settled())
def test_a_minute_that_is_final_is_never_read_from_its_readings(
    one: datetime, other: datetime, known: Settled
) -> None:
    start, end = min(one, other), max(one, other)
    for piece in plan(start, end, known, LEVELS):
        if piece.level is not None:
            continue
        minute = LEVELS[0].ceil(piece.start)
        while minute + MINUTE <= min(piece.end, known.done[1]):
            assert any(since < minute + MINUTE and until > minute for since, until in known.dirty)
            minute += MINUTE


def test_a_year_is_read_from_days_and_its_ends_from_finer_buckets() -> None:
    start, end = DAY - timedelta(days=365) + timedelta(minutes=50, seconds=3), DAY + timedelta(minutes=1)
    assert plan(start, end, Settled(DONE), LEVELS) == [
        Piece(None, start, start + timedelta(seconds=57)),
        Piece(LEVELS[0], start + timedelta(seconds=57), start + timedelta(minutes=9, seconds=57)),
        Piece(LEVELS[2], start + timedelta(minutes=9, seconds=57), DAY - timedelta(days=364)),
        Piece(LEVELS[3], DAY - timedelta(days=364), DAY),
        Piece(None, DAY, end),
    ]


def test_only_levels_that_divide_a_bucket_are_used() -> None:
    def names(width: timedelta) -> list[str]:
        return [level.table for level in usable(width)]

    assert names(timedelta(seconds=30)) == []
    assert names(timedelta(minutes=5)) == ["rollup_1m"]
    assert names(timedelta(minutes=30)) == ["rollup_1m", "rollup_15m"]
    assert names(timedelta(hours=12)) == ["rollup_1m", "rollup_15m", "rollup_1h"]
    assert names(timedelta(days=14)) == [level.table for level in LEVELS]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 10**12)), min_size=1, max_size=30))
def test_every_late_row_lies_in_a_dirty_span_of_its_machine(rows: list[tuple[int, int]]) -> None:
    ids, ts_us = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    spans = dirty_spans(ids, ts_us)
    for machine_id, us in rows:
        ts = EPOCH + timedelta(microseconds=us)
        assert any(one.machine_id == machine_id and one.start <= ts < one.end for one in spans)
    for one in spans:
        edges = {
            LEVELS[0].floor(EPOCH + timedelta(microseconds=us)) for id_, us in rows if id_ == one.machine_id
        }
        assert {one.start, one.end - MINUTE} <= edges


def test_rows_far_apart_are_spans_of_their_own() -> None:
    ts_us = np.array([0, 90 * 60_000_000, 400 * 60_000_000], np.int64)
    assert dirty_spans(np.array([7, 7, 7]), ts_us) == [
        Span(7, EPOCH, EPOCH + 91 * MINUTE),
        Span(7, EPOCH + 400 * MINUTE, EPOCH + 401 * MINUTE),
    ]


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 500)), max_size=6), st.integers(1, 900))
def test_a_cut_takes_no_more_than_it_may_and_loses_nothing(spans: list[tuple[int, int]], most: int) -> None:
    given_spans = [Span(n, DAY + a * MINUTE, DAY + (a + b) * MINUTE) for n, (a, b) in enumerate(spans)]
    now, later = cut(given_spans, most)
    minutes = sum((one.end - one.start) // MINUTE for one in now)
    assert minutes == min(most, sum(b for _, b in spans))
    whole = {one.machine_id: one for one in given_spans}
    for one in now:
        assert one.start == whole[one.machine_id].start
    assert minutes + sum((one.end - one.start) // MINUTE for one in later) == sum(b for _, b in spans)
