"""`enms bench ingest`: how fast readings are stored, beside who only receives and who stores otherwise."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from rich.progress import Progress as Bars

from enms.bench import contest as rounds
from enms.bench.contest import Contest, Outcome
from enms.bench.generator import Progress
from enms.bench.memory import memory_over
from enms.bench.report import Report
from enms.bench.rivals import NodeRed

GATEWAY, C, NODE_RED, ALONE = "gateway", "c_subscriber", "node_red", "generator_alone"
AT: Final = (0.1, 0.5, 1.0)
MEMORY_PACE: Final = 0.8
"""The share of its own speed at which the gateway is fed while its memory is watched."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured. `node_red` is where Node-RED is, or should be installed."""

    contest: Contest
    rounds: int
    memory_messages: int
    node_red: NodeRed
    install: bool


async def ingest(asked: Asked, bars: Bars) -> Report:
    """Let all contenders run in turn, on a fresh state each, `rounds` times; report medians and ratios."""
    report = Report("ingest")
    found: dict[str, list[Outcome]] = {C: [], GATEWAY: [], NODE_RED: []}
    missing = await asyncio.to_thread(_node_red_missing, asked)
    if missing:
        report.remarks.append(missing)
        del found[NODE_RED]
    alone = await _round(asked, ALONE, bars, "")
    for number in range(asked.rounds):
        for name in list(found):
            found[name].append(await _round(asked, name, bars, f" {number + 1}/{asked.rounds}"))
    rates = {name: median(one.rate for one in outcomes) for name, outcomes in found.items()}
    _add_rates(report, asked, rates, found, alone)
    if asked.memory_messages:
        await _add_memory(report, asked, rates[GATEWAY], bars)
    return report


def _add_rates(
    report: Report, asked: Asked, rates: dict[str, float], found: dict[str, list[Outcome]], alone: Outcome
) -> None:
    ours = rates[GATEWAY]
    report.add("vs_c_subscriber", ours / rates[C], "ratio", promised=(0.35, 0.6))
    if NODE_RED in rates:
        report.add("vs_node_red", ours / rates[NODE_RED], "ratio", promised=(1.2, 2))
    verdicts = [one.verdict for one in found[GATEWAY] if one.verdict is not None]
    report.add("lost", sum(one.lost for one in verdicts), "readings", promised=(0, 0))
    report.add("twice", sum(one.twice for one in verdicts), "readings", promised=(0, 0))
    report.add("wrong", sum(one.wrong_series for one in verdicts), "series", promised=(0, 0))
    report.add("readings_per_s", ours * rounds.METRICS_SENT, "readings/s")
    for name, outcomes in found.items():
        each = ", ".join(f"{one.rate:,.0f}" for one in outcomes)
        report.add(f"{name}_messages_per_s", rates[name], "messages/s", note=each)
        for part in outcomes[0].cpus:
            spent_us = median(one.cpus.get(part, 0.0) / one.rate * 1e6 for one in outcomes)
            report.add(f"{name}_{part}_us_per_message", spent_us, "µs")
    report.add(f"{ALONE}_messages_per_s", alone.rate, "messages/s", note="nobody subscribes")
    report.add("messages", asked.contest.messages, "messages")
    report.add("machines", asked.contest.machines, "machines")


async def _add_memory(report: Report, asked: Asked, rate: float, bars: Bars) -> None:
    task = bars.add_task("memory of the gateway", total=asked.memory_messages)
    pace = rate * MEMORY_PACE
    found = await memory_over(
        asked.contest, asked.memory_messages, pace, AT, lambda sent: bars.update(task, completed=sent)
    )
    for share, mib in zip(AT, found, strict=True):
        report.add(f"memory_at_{share:.0%}".replace("%", "_pct"), mib, "MiB")
    growth = (found[-1] / found[0] - 1) * 100
    report.add(
        "memory_growth_pct", growth, "%", note=f"{asked.memory_messages:,} messages at {pace:,.0f} a second"
    )


async def _round(asked: Asked, name: str, bars: Bars, which: str) -> Outcome:
    task = bars.add_task(f"{name}{which}", total=asked.contest.messages)

    def progress(acknowledged: int) -> None:
        bars.update(task, completed=max(0, acknowledged - asked.contest.machines))

    done = await _runner(asked, name)(asked.contest, progress)
    bars.update(task, completed=asked.contest.messages, description=f"{name}{which}: {done.rate:,.0f}/s")
    return done


def _runner(asked: Asked, name: str) -> Callable[[Contest, Progress], Awaitable[Outcome]]:
    async def node_red(contest: Contest, progress: Progress) -> Outcome:
        return await rounds.node_red_flow(contest, progress, asked.node_red)

    return {
        ALONE: rounds.generator_alone,
        C: rounds.c_subscriber,
        GATEWAY: rounds.our_gateway,
        NODE_RED: node_red,
    }[name]


def _node_red_missing(asked: Asked) -> str:
    """Return why the rival flow cannot run, or nothing. Installs it where that was asked for."""
    if asked.node_red.installed:
        return ""
    if asked.install:
        asked.node_red.install()
        return ""
    return (
        f"NODE-RED WAS NOT MEASURED: it is not installed in {asked.node_red.folder}, so vs_node_red is left "
        "out. Install it with: enms bench ingest --install-node-red"
    )


def node_red_folder(given: Path | None, data_dir: Path) -> NodeRed:
    """Return where Node-RED is looked for."""
    return NodeRed(given or data_dir / "bench" / "node-red")
