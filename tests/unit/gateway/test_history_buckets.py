"""How wide a bucket is, and what may be asked."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.history import (
    DEFAULT_POINTS,
    LONGEST_SPAN,
    MOST_POINTS,
    ORIGIN,
    BadHistoryQueryError,
    HistoryQuery,
    bucket_origin,
    bucket_width,
    buckets_touched,
)

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
starts = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
spans = st.timedeltas(timedelta(microseconds=1), LONGEST_SPAN)


@given(starts, spans, st.integers(2, MOST_POINTS))
def test_a_span_never_touches_more_buckets_than_points(start: datetime, span: timedelta, points: int) -> None:
    width = bucket_width(start, start + span, points)
    edges = {
        ORIGIN + (time - ORIGIN) // width * width for time in (start, start + span - timedelta.resolution)
    }
    assert 1 <= buckets_touched(start, start + span, width) <= points
    assert (max(edges) - min(edges)) // width + 1 <= points


@given(starts, spans)
def test_one_point_is_one_bucket_from_the_start(start: datetime, span: timedelta) -> None:
    assert bucket_origin(start, 1) == start
    width = bucket_width(start, start + span, 1)
    assert span <= width < span + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("span", "points", "width"),
    [
        (timedelta(hours=1), 1000, timedelta(seconds=5)),
        (timedelta(days=1), 1000, timedelta(minutes=2)),
        (timedelta(days=365), 1000, timedelta(hours=12)),
        (timedelta(seconds=1), 1000, timedelta(milliseconds=1)),
        (timedelta(days=3650), 20, timedelta(days=224)),
    ],
)
def test_widths_are_those_people_count_in(span: timedelta, points: int, width: timedelta) -> None:
    assert bucket_width(NOW - span, NOW, points) == width


def test_a_question_without_times_is_about_the_last_hour() -> None:
    asked = HistoryQuery.of("press-7", NOW)
    assert (asked.start, asked.end, asked.points) == (NOW - timedelta(hours=1), NOW, DEFAULT_POINTS)
    assert HistoryQuery.of("press-7", NOW, end=NOW - timedelta(days=1)).start == NOW - timedelta(hours=25)


def test_times_of_any_zone_are_taken_as_utc() -> None:
    vienna = NOW.astimezone(timezone(timedelta(hours=1)))
    assert HistoryQuery.of("a", NOW, end=vienna).end.tzinfo is UTC
    assert HistoryQuery.of("a", NOW, end=vienna).end == NOW


def test_a_metric_named_twice_is_asked_for_once() -> None:
    assert HistoryQuery.of("a", NOW, metrics=["y", "x", "y"]).metrics == ("y", "x")


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ({"points": 0}, "1 to 50000"),
        ({"points": MOST_POINTS + 1}, "1 to 50000"),
        ({"start": NOW}, "not before end"),
        ({"start": NOW - LONGEST_SPAN - timedelta(seconds=1)}, "shorter span"),
        ({"metrics": [str(number) for number in range(51)]}, "50 that may"),
        ({"end": datetime(2026, 3, 4)}, "time zone"),  # noqa: DTZ001
        ({"end": datetime.min.replace(tzinfo=UTC)}, "between 1970"),
        ({"start": datetime.max.replace(tzinfo=timezone(-timedelta(hours=9)))}, "between 1970"),
    ],
)
def test_a_question_beyond_the_limits_is_refused_with_the_limit(question: dict, why: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(BadHistoryQueryError, match=why):
        HistoryQuery.of("a", NOW, **question)
