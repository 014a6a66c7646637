"""`enms bench sustain`: many machines at one message a second each, for as long as asked."""

import asyncio
import os
import time
from asyncio import FIRST_EXCEPTION
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress as Bars

from enms.bench import keeping_up
from enms.bench.check import Verdict, judge
from enms.bench.generator import Generator, Progress
from enms.bench.lag import Lag, LagWatch
from enms.bench.models import put_models
from enms.bench.processes import Cost
from enms.bench.report import Report
from enms.bench.stand import Stand, Stopwatch
from enms.bench.sustain_scoring import Scored, add_scored, scored
from enms.bench.tab import Tab
from enms.bench.truth import MODULUS, MOST_MACHINES, Load
from gateway.store.bulk import Bulk

SPACING_MS: Final = 1000
LAG_LIMIT_MS: Final = 1000.0
GENERATOR_LIMIT_MS: Final = 200.0
DRAIN_S: Final = 120.0
MEMORY_FROM_S: Final = 300.0
LEAST_MACHINES: Final = 50
USER: Final = "bench-sustain"


@dataclass(frozen=True, slots=True)
class Asked:
    """`settle_s` of the `seconds` are not counted in the lag: machines are made known in them.

    Each machine's model is learnt from `learn_rows`; with 0 there is no detector.
    """

    machines: int
    seconds: int
    metrics: int
    settle_s: int
    workers: int = 1
    folder: Path | None = None
    learn_rows: int = 0

    @property
    def memory_from_s(self) -> float:
        """From when on no process should grow: minute 5, or the middle of a shorter run."""
        return min(MEMORY_FROM_S, self.seconds / 2)


@dataclass(frozen=True, slots=True)
class Held:
    """What came of one run."""

    asked: Asked
    lag: Lag
    first_lag: Lag
    generator_late_p99_ms: float
    drained_s: float | None
    verdict: Verdict
    cpus: dict[str, float]
    costs_before: dict[str, Cost]
    costs: dict[str, Cost]
    scored: Scored | None = None

    @property
    def why_not(self) -> str:
        """Why the load was not held, empty if it was."""
        if not self.verdict.perfect:
            return f"readings lost {self.verdict.lost}, twice {self.verdict.twice}"
        if self.generator_late_p99_ms > GENERATOR_LIMIT_MS:
            return f"the generator itself was late: p99 {self.generator_late_p99_ms:.0f} ms"
        if self.lag.p99_ms > LAG_LIMIT_MS:
            return f"commit lag p99 {self.lag.p99_ms:,.0f} ms" if self.lag.messages else "nothing was seen"
        if self.lag.growing:
            return "the lag was growing"
        return self.scored.why_not if self.scored is not None else ""


async def sustain(asked: Asked, bars: Bars) -> Report:
    """Hold one load and report it."""
    held = await hold(asked, bars)
    report = Report("sustain")
    _add(report, held, 0 if held.why_not else asked.machines)
    return report


async def search(asked: Asked, bars: Bars) -> Report:
    """Double or halve the machines until the most that are held is known to a quarter; report that run."""
    runs: list[Held] = []
    machines: int | None = asked.machines
    while machines is not None:
        runs.append(await hold(replace(asked, machines=machines), bars))
        machines = next_machines([(one.asked.machines, not one.why_not) for one in runs])
    good = [one for one in runs if not one.why_not]
    best = max(good, key=lambda one: one.asked.machines, default=runs[-1])
    report = Report("sustain")
    _add(report, best, best.asked.machines if good else 0)
    for one in runs:
        if one.why_not:
            report.remarks.append(f"{one.asked.machines:,} machines were not held: {one.why_not}")
    return report


def next_machines(runs: Sequence[tuple[int, bool]]) -> int | None:
    """Return how many machines to try after those tried, each with whether it was held; None when known."""
    most = max((machines for machines, held in runs if held), default=None)
    least = min((machines for machines, held in runs if not held), default=None)
    if most is None and least is not None:
        wanted = least // 2
    elif most is not None and least is None:
        wanted = 2 * most
    elif most is not None and least is not None and least - most > most // 4:
        wanted = (least + most) // 2
    else:
        return None
    return wanted if LEAST_MACHINES <= wanted <= MOST_MACHINES else None


async def hold(asked: Asked, bars: Bars) -> Held:
    """Run one load: watch lag and costs, wait until all is drained, then check every reading."""
    async with AsyncExitStack() as opened:
        stand = await opened.enter_async_context(Stand(folder=asked.folder, workers=asked.workers))
        if asked.learn_rows:
            await put_models(stand.models, _learnt_from(asked), bars, asked.learn_rows)
        await stand.start_gateway()
        bulk = Bulk(stand.settings.database_url)
        await bulk.open()
        opened.push_async_callback(bulk.close)
        tab = None
        if asked.learn_rows:
            await stand.start_detector()
            tab = await opened.enter_async_context(Tab(stand, USER, (keeping_up.TOPIC,)))
            await keeping_up.until_serving(stand, tab, asked.machines)
        task = bars.add_task(f"{asked.machines:,} machines", total=asked.machines * asked.seconds)
        found = await _hold(stand, bulk, tab, asked, lambda sent: bars.update(task, completed=sent))
    outcome = found.why_not or "held"
    bars.update(task, description=f"{asked.machines:,} machines: {outcome}")
    return found


def _learnt_from(asked: Asked) -> Load:
    """Return what the machines would have sent until now."""
    return Load(asked.machines, asked.metrics, int(time.time()) * 1000, SPACING_MS)


async def _hold(stand: Stand, bulk: Bulk, tab: Tab | None, asked: Asked, progress: Progress) -> Held:
    watch, messages = LagWatch(bulk), asked.machines * asked.seconds
    async with Generator(stand, asked.machines, asked.metrics, SPACING_MS) as generator:
        others = {"generator": generator.pid, "benchmark": os.getpid()}
        busy = Stopwatch(stand, **others, **({} if tab is None else {"tab": tab.pid}))
        sending = asyncio.create_task(generator.paced(asked.seconds, progress))
        looking = asyncio.create_task(_look(watch, generator, sending))
        try:
            await asyncio.wait({sending, looking}, timeout=asked.memory_from_s, return_when=FIRST_EXCEPTION)
            if looking.done():
                looking.result()
            costs_before = stand.costs()
            said = await sending
            cpus, costs = busy.shares(), stand.costs()
            drained_s = await _drained(bulk, messages)
            watch.enough.set()
            await looking
        finally:
            for one in (sending, looking):
                one.cancel()
            await asyncio.gather(sending, looking, return_exceptions=True)
    load = generator.load
    settled_s = load.base_ms / 1000 + asked.settle_s
    held = await bulk.held(load.base_ms, load.spacing_ms, MODULUS)
    return Held(
        asked=asked,
        lag=watch.lag(load, after_s=asked.settle_s),
        first_lag=watch.lag(load),
        generator_late_p99_ms=said["late_p99_ms"],
        drained_s=drained_s,
        verdict=judge(load, messages, held),
        cpus=cpus,
        costs_before=costs_before,
        costs=costs,
        scored=None if tab is None else await scored(tab, messages, settled_s),
    )


async def _look(watch: LagWatch, generator: Generator, sending: "asyncio.Task[dict[str, Any]]") -> None:
    await watch.run(await generator.load_known(sending))


async def _drained(bulk: Bulk, rows: int) -> float | None:
    """Wait until so many rows are there; return how long that took, None if they do not come."""
    began = moved_at = time.monotonic()
    before = -1
    while (found := await bulk.count()) < rows:
        if found > before:
            before, moved_at = found, time.monotonic()
        elif time.monotonic() - moved_at > DRAIN_S / 4:
            return None
        await asyncio.sleep(0.2)
    return time.monotonic() - began


def _add(report: Report, held: Held, machines_held: int) -> None:
    asked, verdict = held.asked, held.verdict
    report.add("machines_held", machines_held, "machines", promised=(5000, 10_000), note=held.why_not)
    report.add("lost", verdict.lost, "readings", promised=(0, 0))
    report.add("twice", verdict.twice, "readings", promised=(0, 0))
    report.add("wrong", verdict.wrong_series, "series", promised=(0, 0))
    report.add("stored", verdict.readings, "readings")
    report.add("seconds", asked.seconds, "s")
    report.add("readings_per_s", asked.machines * asked.metrics, "readings/s")
    if held.lag.messages:
        _add_lag(report, held)
    else:
        report.remarks.append("NO LAG: not one reading that was looked for became visible in time")
    if held.scored is not None:
        add_scored(report, held.scored)
    if held.drained_s is None:
        report.remarks.append("NOT DRAINED: readings that the broker acknowledged did not come")
    else:
        report.add("drained_s", held.drained_s, "s")
    report.add("generator_late_p99_ms", held.generator_late_p99_ms, "ms")
    for name, cpus in sorted(held.cpus.items(), key=lambda one: -one[1]):
        report.add(f"cpu_{name}", cpus, "processors")
    for name, cost in held.costs.items():
        before = held.costs_before[name].memory_mib if name in held.costs_before else cost.memory_mib
        grown = (cost.memory_mib / before - 1) * 100
        since = f"{grown:+.1f} % since second {held.asked.memory_from_s:.0f}"
        report.add(f"memory_{name}_mib", cost.memory_mib, "MiB", note=since)


def _add_lag(report: Report, held: Held) -> None:
    settled = f"{held.lag.messages:,} messages looked at, from second {held.asked.settle_s} on"
    report.add("lag_p50_ms", held.lag.p50_ms, "ms", note=settled)
    report.add("lag_p99_ms", held.lag.p99_ms, "ms", promised=(LAG_LIMIT_MS, LAG_LIMIT_MS))
    report.add("lag_max_ms", held.lag.max_ms, "ms")
    report.add("lag_p99_from_the_start_ms", held.first_lag.p99_ms, "ms")
    report.add("lag_growing", float(held.lag.growing), "1 = yes")
