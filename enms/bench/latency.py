"""`enms bench latency`: from a machine's message to the anomaly in a browser, over every hop."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.progress import Progress as Bars

from broker.messages import Anomaly, Scoring, decode
from enms.bench.generator import Generator
from enms.bench.keeping_up import add_hops, newest, until_serving
from enms.bench.latency_events import Matched, Received, match, percentiles
from enms.bench.latency_signal import CALM_TICKS, Jumping
from enms.bench.models import put_models
from enms.bench.report import Report
from enms.bench.stand import Stand, Stopwatch
from enms.bench.tab import Tab

METRICS: Final = 5
SPACING_MS: Final = 1000
LATE_S: Final = 10.0
"""How long after the last message events are still waited for."""
USER: Final = "bench-latency"


@dataclass(frozen=True, slots=True)
class Asked:
    """`seconds` are those in which machines jump; calm ones come before."""

    machines: int = 1000
    seconds: int = 60
    folder: Path | None = None

    @property
    def all_seconds(self) -> int:
        """How long is sent."""
        return CALM_TICKS + self.seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a run."""

    matched: Matched
    late_p99_ms: float
    cpus: dict[str, float]
    scoring: Scoring


async def latency(asked: Asked, bars: Bars) -> Report:
    """Have machines jump, and listen as a page does."""
    async with Stand(folder=asked.folder) as stand:
        now_ms = int(time.time()) * 1000
        before = Jumping(asked.machines, METRICS, now_ms, SPACING_MS)
        learnt_s = await put_models(stand.models, before, bars)
        await stand.start_gateway()
        await stand.start_detector()
        async with Tab(stand, USER, ("anomaly/+", "system/scoring")) as tab:
            await until_serving(stand, tab, asked.machines)
            measured = await _measure(asked, stand, tab, bars)
    report = Report("latency")
    _add(report, measured)
    report.add("learning_s", learnt_s, "s", note=f"{asked.machines:,} models; not counted")
    return report


async def _measure(asked: Asked, stand: Stand, tab: Tab, bars: Bars) -> Measured:
    task = bars.add_task(f"{asked.machines:,} machines", total=asked.machines * asked.all_seconds)
    async with Generator(stand, asked.machines, METRICS, SPACING_MS, "jumping") as generator:
        watch = Stopwatch(stand, generator=generator.pid, tab=tab.pid, benchmark=os.getpid())
        sent = await generator.paced(asked.all_seconds, lambda done: bars.update(task, completed=done))
        cpus = watch.shares()
        load = generator.load
    if not isinstance(load, Jumping):
        raise TypeError(f"the generator sent {load}, in which nothing jumps")

    def matched() -> Matched:
        return match(load, asked.all_seconds, heard(tab))

    await tab.until(lambda _: not matched().missed, LATE_S)
    scoring = newest(tab)
    if scoring is None:
        raise TypeError("the detector served, so it has said so")
    return Measured(matched(), sent["late_p99_ms"], cpus, scoring)


def heard(tab: Tab) -> list[Received]:
    """Return the events a tab has heard."""
    return [
        Received(decode(Anomaly, one.payload.encode()), one.received_s)
        for one in tab.heard
        if one.topic.startswith("anomaly/")
    ]


def _add(report: Report, measured: Measured) -> None:
    found = measured.matched.found
    p50, p95, p99 = percentiles([one.whole_ms for one in found])
    jumps = len(found) + measured.matched.missed
    if found:
        report.add("p50_ms", p50, "ms", note="time of the row that opened -> event in the client")
        report.add("p95_ms", p95, "ms")
        report.add("p99_ms", p99, "ms", promised=(500.0, 150.0))
        for name, figures in (
            ("sent_published", [one.published_ms for one in found]),
            ("published_received", [one.way_ms for one in found]),
        ):
            p50, p95, p99 = percentiles(figures)
            report.add(f"hop_{name}_p99_ms", p99, "ms", note=f"p50 {p50:.3g}, p95 {p95:.3g}; of these events")
    else:
        report.remarks.append(f"NO LATENCY: not one of {jumps} jumps was told")
    add_hops(report, measured.scoring.hops)
    report.add("opened", len(found), "episodes", note=f"of {jumps} jumps")
    report.add("missed", measured.matched.missed, "jumps", promised=(0, 0))
    report.add("unasked", measured.matched.unasked, "episodes", note="opened where nothing jumped, or again")
    report.add("generator_late_p99_ms", measured.late_p99_ms, "ms", note="it is part of the figures above")
    scoring = measured.scoring
    report.add("rows_scored", scoring.rows, "rows")
    report.add("refits", scoring.refits, "models", note=f"{scoring.refits_waiting} waiting at the end")
    for name, cpus in sorted(measured.cpus.items(), key=lambda one: -one[1]):
        report.add(f"cpu_{name}", cpus, "processors")
