"""`enms bench history`: a year of one metric at one reading a second, filled in and asked for again."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from rich.progress import Progress as Bars

from broker.telemetry import Row
from enms.bench import processes
from enms.bench.report import Report
from enms.bench.stand import Stand
from gateway.store import Batch, Store
from gateway.store.bulk import Bulk

MACHINE: Final = "bench-year"
METRIC: Final = "power_kw"
SPIKE: Final = 987.65
"""Far above everything else of the metric, for one second in the middle of the time."""
FIRST: Final = 40.0
POINTS: Final = 1000
MARGIN: Final = timedelta(days=1)
"""More is filled than is asked for, so that questions can begin at different times."""
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(weeks=1)


class WrongAnswerError(RuntimeError):
    """The history answered something else than what was filled in."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`days` are asked for at once, `times` times; the random days are the same for the same seed."""

    days: int
    times: int
    folder: Path | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Filled:
    """What there is: readings in [start, end), with the spike at `spike_at`."""

    start: datetime
    end: datetime
    spike_at: datetime

    @classmethod
    def of(cls, days: int, now: datetime) -> "Filled":
        """Return what to fill so that it ends at the last whole hour."""
        end = now.replace(minute=0, second=0, microsecond=0)
        start = end - timedelta(days=days) - MARGIN
        return cls(start, end, start + (end - start) // 2 // _SECOND * _SECOND)


async def history(asked: Asked, bars: Bars) -> Report:
    """Fill, roll up, start the gateway, and ask it over HTTP."""
    report = Report("history")
    filled = Filled.of(asked.days, datetime.now(UTC))
    async with Stand(folder=asked.folder) as stand:
        rows, filling_s, rolling_s = await _fill(stand.settings.database_url, filled, bars)
        await stand.start_gateway()
        async with stand.api() as api:
            try:
                await _ask(report, api, asked, filled, bars)
            except WrongAnswerError as error:
                raise WrongAnswerError(f"{error}\n{stand.log('gateway')}") from error
            await _export(report, api, asked, filled, stand.pids()["gateway"])
        bulk = Bulk(stand.settings.database_url)
        await bulk.open()
        size = await bulk.bytes()
        await bulk.close()
    report.add("readings", rows, "readings")
    report.add("filled_s", filling_s, "s", note=f"{rows / filling_s:,.0f} readings a second")
    report.add("rolled_up_s", rolling_s, "s", note=f"{rows / rolling_s:,.0f} readings a second")
    report.add("disk_samples_mib", size.samples / 2**20, "MiB")
    report.add("disk_all_mib", size.all / 2**20, "MiB", note="rollups, indexes and the rest included")
    report.add("disk_bytes_per_reading", size.samples / rows, "B", note="of a row with one metric")
    return report


async def _fill(url: str, filled: Filled, bars: Bars) -> tuple[int, float, float]:
    """Fill week by week and roll up; return the readings, and the seconds that each took."""
    store, bulk = Store(url), Bulk(url)
    await store.open()
    await bulk.open()
    try:
        await store.migrate()
        first = Row(MACHINE, filled.start, filled.start, (METRIC,), (FIRST,))
        await store.write(Batch(rows=[first]))
        there = filled.start + _SECOND
        rows = (filled.end - filled.start) // _SECOND
        task = bars.add_task("filling in", total=rows)
        began = time.monotonic()
        monday = filled.start.date() - timedelta(days=filled.start.weekday())
        while (week := datetime(monday.year, monday.month, monday.day, tzinfo=UTC)) < filled.end:
            await bulk.make_week(monday)
            start, end = max(week, there), min(week + _WEEK, filled.end)
            await bulk.fill(MACHINE, start, end, filled.spike_at, SPIKE)
            bars.advance(task, (end - start) // _SECOND)
            monday += _WEEK
        await bulk.analyze()
        filling_s = time.monotonic() - began
        rolling_s = await _roll_up(store, rows, bars)
        found = await bulk.count()
        if found != rows:
            raise WrongAnswerError(f"{found} rows were filled in, not {rows}")
        return rows, filling_s, rolling_s
    finally:
        await bulk.close()
        await store.close()


async def _roll_up(store: Store, rows: int, bars: Bars) -> float:
    """Let the product's own roller do all there is; return the seconds it took."""
    task = bars.add_task("rolling up", total=rows)
    began = time.monotonic()
    while True:
        done = await store.roll_up(datetime.now(UTC))
        bars.advance(task, done.readings)
        if not (done.more or done.spans or done.buckets):
            return time.monotonic() - began


async def _ask(report: Report, api: httpx.AsyncClient, asked: Asked, filled: Filled, bars: Bars) -> None:
    chance = random.Random(asked.seed)  # noqa: S311  nothing is to be kept secret
    span = timedelta(days=asked.days)
    late = round(MARGIN.total_seconds())
    task = bars.add_task("asking", total=2 * asked.times)

    async def times_ms(spans: Callable[[], tuple[datetime, datetime]]) -> list[float]:
        found = []
        for _ in range(asked.times):
            start, end = spans()
            began = time.perf_counter()
            answer = await api.get(f"machines/{MACHINE}/history", params=_question(start, end))
            found.append((time.perf_counter() - began) * 1000)
            check_answer(answer, start, end, filled)
            bars.advance(task)
        return found

    def year() -> tuple[datetime, datetime]:
        start = filled.start + timedelta(seconds=chance.randrange(late))
        return start, start + span

    def day() -> tuple[datetime, datetime]:
        start = filled.start + timedelta(
            seconds=chance.randrange(round((filled.end - filled.start - _DAY).total_seconds()) + 1)
        )
        return start, start + _DAY

    first = filled.start, filled.start + span
    began = time.perf_counter()
    check_answer(await api.get(f"machines/{MACHINE}/history", params=_question(*first)), *first, filled)
    report_first = (time.perf_counter() - began) * 1000
    for name, promised, found in (
        ("year", (300, 50), await times_ms(year)),
        ("day", (50, 50), await times_ms(day)),
    ):
        p50, p99 = np.percentile(found, [50, 99]).tolist()
        note = f"{asked.days if name == 'year' else 1} days as {POINTS} points, {asked.times} times over HTTP"
        report.add(f"{name}_p50_ms", p50, "ms", promised=promised, note=note)
        report.add(f"{name}_p99_ms", p99, "ms")
    report.add("year_first_ms", report_first, "ms", note="the first question after the start")
    report.add("spike_seen", 1, "1 = yes", note="one second, in every answer that reaches over it")


def _question(start: datetime, end: datetime) -> dict[str, Any]:
    return {"metric": METRIC, "start": start.isoformat(), "end": end.isoformat(), "points": POINTS}


def check_answer(answer: httpx.Response, start: datetime, end: datetime, filled: Filled) -> None:
    """Raise WrongAnswerError unless a history is whole and shows the spike exactly where it should."""
    if answer.status_code != httpx.codes.OK:
        raise WrongAnswerError(f"history answered {answer.status_code}: {answer.text[:300]}")
    (series,) = answer.json()["series"]
    points = len(series["ts"])
    if not POINTS // 10 < points <= POINTS:
        raise WrongAnswerError(f"history answered {points} points where {POINTS} were asked for")
    width_s = series["bucket_s"]
    # The first and the last bucket may be counted as far as the span reaches, or whole.
    wanted, found = (end - start).total_seconds(), sum(series["count"])
    if abs(found - wanted) > 2 * width_s:
        raise WrongAnswerError(f"history counts {found} readings in a span that has {wanted:.0f}")
    within = start <= filled.spike_at < end
    near_edge = min(abs(filled.spike_at - start), abs(filled.spike_at - end)).total_seconds() <= width_s
    if (max(series["max"]) == SPIKE) != within and not near_edge:
        raise WrongAnswerError(f"the spike at {filled.spike_at} is {'not ' if within else ''}in the answer")


async def _export(report: Report, api: httpx.AsyncClient, asked: Asked, filled: Filled, pid: int) -> None:
    """Fetch the whole time as Parquet, and see how much memory the gateway needs for it."""
    end = filled.start + timedelta(days=asked.days)
    span = {"start": filled.start.isoformat(), "end": end.isoformat()}
    what = {"machine": MACHINE, "metric": METRIC, "format": "parquet", **span}
    processes.forget_peak(pid)
    before = processes.peak_memory_mib(pid)
    size = 0
    began = time.perf_counter()
    async with api.stream("GET", "export", params=what, timeout=3600) as answer:
        if answer.status_code != httpx.codes.OK:
            said = (await answer.aread()).decode(errors="replace")[:200]
            report.remarks.append(f"EXPORT WAS NOT MEASURED: it answered {answer.status_code}: {said}")
            return
        async for piece in answer.aiter_raw():
            size += len(piece)
    took_s = time.perf_counter() - began
    peak = processes.peak_memory_mib(pid)
    rows = (end - filled.start).total_seconds()
    report.add("export_s", took_s, "s", note=f"{rows / took_s:,.0f} readings a second, as Parquet")
    report.add("export_mib", size / 2**20, "MiB")
    report.add("export_peak_mib", peak, "MiB", promised=(300, 300), note=f"{before:,.0f} MiB before")
