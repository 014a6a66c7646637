"""`enms bench factory`: a week with a fault of every kind on every machine, and a week without any.

The simulated factory lives in process, without a clock and without a bus; the rows go through the code that
judges live rows. Training is on the days before, without faults. The fault-free week is another plant's.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final

import numpy as np
from rich.progress import Progress as Bars

from detector.config import Tuning
from devices.factory import Fault, FaultKind, MachineSpec, plant
from enms.bench.factory_days import Days, live_through, moved_metrics
from enms.bench.factory_match import Judged, judge, unrelated
from enms.bench.factory_plan import week_of_faults
from enms.bench.factory_watch import Found, Watch
from enms.bench.report import Report

MONDAY: Final = datetime(2026, 3, 9, tzinfo=UTC)
WEEK: Final = timedelta(weeks=1)
FALSE_MOST: Final = (1.0, 0.5)
"""Floor and goal of false episodes a machine and week, of the worst machine."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured. `days` of `train_days` before them are from the same plant."""

    machines: int = 14
    days: float = 7.0
    train_days: float = 7.0
    step_s: float = 60.0
    faults: bool = True
    seed: int = 11
    tuning: Tuning = field(default_factory=Tuning)


@dataclass(frozen=True, slots=True)
class Week:
    """One plant's judged days: all that was found, fault by fault, and what is about no fault."""

    episodes: tuple[Found, ...]
    judged: tuple[Judged, ...]
    unrelated: tuple[Found, ...]
    rows: int
    held: int
    refits: int
    score_s: float


async def factory(asked: Asked, bars: Bars) -> Report:
    """Let two plants live, one with faults and one without, and report what the detector made of it."""
    report = Report("factory")
    specs = plant(asked.machines)
    began_s = time.perf_counter()
    if asked.faults:
        faults = [
            fault
            for fault in week_of_faults(specs, MONDAY)
            if (fault.end or fault.start) <= MONDAY + timedelta(days=asked.days)
        ]
        week = await asyncio.to_thread(
            run_week, asked, specs, asked.seed, faults, _bar(bars, "faults", asked)
        )
        _add_faults(report, week)
    calm = await asyncio.to_thread(run_week, asked, specs, asked.seed + 1, [], _bar(bars, "no faults", asked))
    _add_calm(report, calm, asked, [spec.name for spec in specs])
    report.add("run_s", time.perf_counter() - began_s, "s")
    return report


def run_week(
    asked: Asked, specs: Sequence[MachineSpec], seed: int, faults: Sequence[Fault], told: Callable[[], None]
) -> Week:
    """Simulate one plant, train each machine on the days before, and judge the days after."""
    start, end = MONDAY - timedelta(days=asked.train_days), MONDAY + timedelta(days=asked.days)
    step = timedelta(seconds=asked.step_s)
    lived = live_through(specs, seed, start, end, step, faults)
    clean = live_through(specs, seed, start, end, step) if faults else lived
    watch = Watch({name: days.between(start, MONDAY) for name, days in lived.items()}, asked.tuning)
    began_s = time.perf_counter()
    watch.take({name: days.between(MONDAY, end) for name, days in lived.items()}, told)
    score_s = time.perf_counter() - began_s
    episodes = watch.episodes
    judged = tuple(
        judge(fault, episodes, _moved(fault, lived[fault.machine], clean[fault.machine])) for fault in faults
    )
    others = tuple(unrelated(episodes, faults))
    return Week(episodes, judged, others, watch.rows, watch.held, watch.refits(lived), score_s)


def _moved(fault: Fault, faulty: Days, clean: Days) -> tuple[str, ...]:
    steps = np.diff(clean.rows.values, axis=0)
    noise = np.maximum(np.std(steps, axis=0), 1e-3)
    return moved_metrics(fault, faulty, clean, noise)


def _add_faults(report: Report, week: Week) -> None:
    found = [one for one in week.judged if one.found is not None]
    count = len(week.judged)
    report.add("faults", count, "faults")
    report.add("faults_found", len(found) / max(1, count), "ratio", note=f"{len(found)} of {count}")
    delays = [one.delay_min for one in found if one.delay_min is not None]
    if delays:
        report.add("delay_median_min", median(delays), "min")
        report.add("delay_worst_min", max(delays), "min")
        report.add("top_contributor_right", sum(one.top_is_right for one in found) / len(found), "ratio")
        report.add("contributors_right", sum(one.named for one in found) / len(found), "ratio")
    report.add("episodes_a_found_fault", sum(one.episodes for one in found) / max(1, len(found)), "episodes")
    report.add("unrelated_beside_faults", len(week.unrelated), "episodes", note=_listed(week.unrelated))
    for kind in FaultKind:
        named = Counter(one.found.anomaly_type for one in found if one.fault.kind is kind and one.found)
        words = ", ".join(f"{word} {times}" for word, times in named.most_common())
        report.add(f"{kind}_types", len(named), "types", note=words)
    cells: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for one in week.judged:
        cells[one.fault.machine.rsplit("-", 1)[0], one.fault.kind].append(one)
    for (machine, name), ones in sorted(cells.items()):
        share = sum(one.found is not None for one in ones) / len(ones)
        report.add(f"{machine} {name}", share, "found", note="; ".join(_told(one) for one in ones))


def _told(one: Judged) -> str:
    if one.found is None:
        return f"- ({one.moved[0] if one.moved else 'nothing moved'})"
    right = "" if one.top_is_right else f" (moved: {one.moved[0]})" if one.moved else ""
    found = one.found
    return f"{one.delay_min:.0f} min {found.anomaly_type} {next(iter(found.contributors), '')}{right}"


def _add_calm(report: Report, week: Week, asked: Asked, names: Sequence[str]) -> None:
    weeks = timedelta(days=asked.days) / WEEK
    counts = Counter(one.machine for one in week.episodes)
    worst = max(names, key=lambda name: counts[name])
    report.add("false_a_machine_week", counts.total() / weeks / len(names), "episodes")
    report.add("false_worst_machine", counts[worst] / weeks, "episodes/week", promised=FALSE_MOST, note=worst)
    report.add("false_episodes", len(week.episodes), "episodes", note=_listed(week.episodes))
    report.add("held_share", week.held / max(1, week.rows), "ratio", note="not judged: changes over")
    report.add("refits", week.refits, "refits")
    report.add("row_us", week.score_s / max(1, week.rows) * 1e6, "µs", note="refits included")


def _listed(episodes: Sequence[Found]) -> str:
    return "; ".join(
        f"{one.machine} {datetime.fromtimestamp(one.opened_s, UTC):%a %H:%M} "
        f"{(one.closed_s - one.started_s) / 60:.0f} min {one.anomaly_type} {next(iter(one.contributors), '')}"
        for one in sorted(episodes, key=lambda one: one.opened_s)
    )


def _bar(bars: Bars, title: str, asked: Asked) -> Callable[[], None]:
    task = bars.add_task(title, total=int(asked.days * 86_400 / asked.step_s))
    return lambda: bars.advance(task)
