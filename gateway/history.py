"""What a machine's metrics were: as they came where there are few, in buckets where there are many.

A bucket that has no reading is left out, so a gap stays a gap. What was rolled up is read as that, the rest
from the readings; the answer is the same, but for the last digits of a mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from gateway.store import Point, Series, Store

DEFAULT_SPAN: Final = timedelta(hours=1)
DEFAULT_POINTS: Final = 1000
MOST_POINTS: Final = 50_000
MOST_METRICS: Final = 50
MOST_IN_ALL: Final = 250_000
LONGEST_SPAN: Final = timedelta(days=3660)
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
ORIGIN: Final = datetime(1999, 12, 27, tzinfo=UTC)
"""Buckets are counted from here, a Monday before the first reading there can be."""

_STEPS_MS: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(1000 * s for s in (1, 2, 5, 10, 15, 30)),
    *(60_000 * m for m in (1, 2, 5, 10, 15, 30)),
    *(3_600_000 * h for h in (1, 2, 3, 6, 12, 24, 168)),
)
_MILLISECOND: Final = timedelta(milliseconds=1)


class HistoryError(ValueError):
    """The family of what is wrong with a question about history."""


class UnknownHistoryError(HistoryError):
    """There is no such machine, or it has no such metric."""


class BadHistoryQueryError(HistoryError):
    """The question itself is wrong; the message names the limit."""


class HistorySeries(Struct, frozen=True, kw_only=True):
    """One metric in columns, oldest first. `ts` is where a bucket begins, in ms since 1970.

    With `bucket_s` 0 each point is a reading as it came. A bucket's `mean` is that of its readings.
    """

    metric: str
    unit: str
    bucket_s: float
    ts: list[int]
    min: list[float]
    mean: list[float]
    max: list[float]
    count: list[int]


class History(Struct, frozen=True, kw_only=True):
    """The metrics of one machine in [start, end)."""

    machine: str
    start: datetime
    end: datetime
    series: list[HistorySeries]


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A question that may be asked. `metrics` empty means all; each series has at most `points` points."""

    machine: str
    metrics: tuple[str, ...]
    start: datetime
    end: datetime
    points: int

    @classmethod
    def of(
        cls,
        machine: str,
        now: datetime,
        *,
        metrics: Sequence[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        points: int = DEFAULT_POINTS,
    ) -> "HistoryQuery":
        """Fill in what is not given: up to `now`, the last hour. Raises BadHistoryQueryError."""
        wanted = tuple(dict.fromkeys(metrics))
        if len(wanted) > MOST_METRICS:
            msg = f"{len(wanted)} metrics are more than the {MOST_METRICS} that may be asked for at once"
            raise BadHistoryQueryError(msg)
        if not 1 <= points <= MOST_POINTS:
            raise BadHistoryQueryError(f"points is 1 to {MOST_POINTS}, not {points}")
        until = _checked("end", now if end is None else end)
        since = _checked("start", until - DEFAULT_SPAN if start is None else start)
        if not since < until:
            msg = f"start {since.isoformat()} is not before end {until.isoformat()}"
            raise BadHistoryQueryError(msg)
        if until - since > LONGEST_SPAN:
            msg = f"{(until - since).days} days are more than the {LONGEST_SPAN.days} that may be asked for"
            raise BadHistoryQueryError(f"{msg} at once; ask for a shorter span")
        return cls(machine, wanted, since, until, points)


async def history(store: Store, asked: HistoryQuery) -> History:
    """Answer a question about history.

    Raises UnknownHistoryError, BadHistoryQueryError where that is too much to answer at once,
    StoreUnavailableError.
    """
    wanted = _choose(asked, await store.series(asked.machine))
    if not wanted and await store.machine(asked.machine) is None:
        raise UnknownHistoryError(f"there is no machine {asked.machine!a}")
    if len(wanted) * asked.points > MOST_IN_ALL:
        msg = f"{len(wanted)} metrics of {asked.points} points are more than {MOST_IN_ALL} in all"
        raise BadHistoryQueryError(f"{msg}; ask for fewer points or metrics")
    width = bucket_width(asked.start, asked.end, asked.points)
    origin = bucket_origin(asked.start, asked.points)
    past = await store.past(wanted, asked.start, asked.end, asked.points, width, origin)
    found = [_columns(one, past[one.id].points, timedelta() if past[one.id].raw else width) for one in wanted]
    return History(machine=asked.machine, start=asked.start, end=asked.end, series=found)


def bucket_origin(start: datetime, points: int) -> datetime:
    """Return where buckets are counted from: the same for all questions, but for one point the start."""
    return start if points == 1 else ORIGIN


def bucket_width(start: datetime, end: datetime, points: int) -> timedelta:
    """Return the narrowest usual width at which [start, end) touches at most `points` buckets."""
    if points == 1:  # any usual bucket may have its edge within the span
        return -(-(end - start) // _MILLISECOND) * _MILLISECOND
    return next(width for width in _widths() if buckets_touched(start, end, width) <= points)


def buckets_touched(start: datetime, end: datetime, width: timedelta) -> int:
    """Return how many buckets counted from ORIGIN have some of [start, end) in them."""
    last_us = end - timedelta(microseconds=1)
    return (last_us - ORIGIN) // width - (start - ORIGIN) // width + 1


def _widths() -> Iterator[timedelta]:
    for step_ms in _STEPS_MS:
        yield timedelta(milliseconds=step_ms)
    while True:
        step_ms *= 2
        yield timedelta(milliseconds=step_ms)


def _checked(name: str, time: datetime) -> datetime:
    if time.tzinfo is None:
        raise BadHistoryQueryError(f"{name} has no time zone; end it with Z or an offset such as +01:00")
    if not EARLIEST <= time <= LATEST:
        raise BadHistoryQueryError(f"{name} must lie between {EARLIEST.year} and {LATEST.year}")
    return time.astimezone(UTC)


def _choose(asked: HistoryQuery, there: list[Series]) -> list[Series]:
    if asked.metrics:
        by_metric = {one.metric: one for one in there}
        missing = [name for name in asked.metrics if name not in by_metric]
        if missing:
            msg = f"{asked.machine!a} has no metric {missing[0]!a}; it has {', '.join(by_metric) or 'none'}"
            raise UnknownHistoryError(msg)
        return [by_metric[name] for name in asked.metrics]
    if len(there) > MOST_METRICS:
        msg = f"{asked.machine} has {len(there)} metrics; name up to {MOST_METRICS} of them with metric="
        raise BadHistoryQueryError(msg)
    return there


def _columns(series: Series, points: list[Point], width: timedelta) -> HistorySeries:
    return HistorySeries(
        metric=series.metric,
        unit=series.unit,
        bucket_s=width.total_seconds(),
        ts=[(one.ts - EARLIEST) // _MILLISECOND for one in points],
        min=[one.low for one in points],
        mean=[one.mean for one in points],
        max=[one.high for one in points],
        count=[one.count for one in points],
    )
