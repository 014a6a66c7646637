"""A round of the ingest contest: the same load for each, from first publish to the last that arrived."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from enms.bench import rivals
from enms.bench.check import Verdict, judge
from enms.bench.generator import Generator, Progress
from enms.bench.stand import Stand, Stopwatch
from enms.bench.truth import METRICS, MODULUS, Load
from gateway.store.bulk import Bulk

SPACING_MS: Final = 10
METRICS_SENT: Final = 5
POLL_S: Final = 0.05
STALLED_S: Final = 60.0


class StalledError(RuntimeError):
    """Messages that were acknowledged did not come to be stored."""


@dataclass(frozen=True, slots=True)
class Contest:
    """How much is sent: `messages` that count, after one of each machine that does not."""

    messages: int
    machines: int
    workers: int = 1
    folder: Path | None = None

    @property
    def all(self) -> int:
        """All that is sent."""
        return self.messages + self.machines


@dataclass(frozen=True, slots=True)
class Outcome:
    """Messages a second, and how many processors each part kept busy meanwhile."""

    rate: float
    cpus: dict[str, float] = field(default_factory=dict)
    verdict: Verdict | None = None


async def generator_alone(contest: Contest, progress: Progress) -> Outcome:
    """Measure what the generator and the broker do when nobody subscribes."""
    async with Stand(database=False, folder=contest.folder) as stand, _generator(stand, contest) as generator:
        watch = Stopwatch(stand, generator=generator.pid)
        said = await generator.flat(contest.messages, progress=progress)
        return Outcome(contest.messages / (said["acknowledged_at"] - said["began"]), watch.shares())


async def c_subscriber(contest: Contest, progress: Progress) -> Outcome:
    """Measure mosquitto_sub, which receives, acknowledges and throws away."""
    async with Stand(database=False, folder=contest.folder) as stand:
        await rivals.remember_subscription(stand)
        process = await rivals.receive(stand, contest.all)
        try:
            async with _generator(stand, contest) as generator:
                await generator.flat(contest.machines)
                watch = Stopwatch(stand, generator=generator.pid)
                said = await generator.flat(contest.messages, progress=progress)
                await asyncio.wait_for(rivals.received(process), STALLED_S + contest.messages / 1000)
                return Outcome(contest.messages / (time.time() - said["began"]), watch.shares())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def our_gateway(contest: Contest, progress: Progress) -> Outcome:
    """Measure the gateway until every reading is committed, and check that each is there once."""
    async with Stand(folder=contest.folder, workers=contest.workers) as stand:
        await stand.start_gateway()
        bulk = Bulk(stand.settings.database_url)
        await bulk.open()
        try:
            async with _generator(stand, contest) as generator:
                await generator.flat(contest.machines)
                load = generator.load

                async def last_there(message: int) -> bool:
                    return await bulk.there(load.name(message % load.machines), _time(load, message))

                await until_stored(contest.machines, last_there, bulk.count)
                watch = Stopwatch(stand, generator=generator.pid)
                said = await generator.flat(contest.messages, progress=progress)
                ended = await until_stored(contest.all, last_there, bulk.count)
                cpus = watch.shares()
            held = await bulk.held(load.base_ms, load.spacing_ms, MODULUS)
            verdict = judge(load, contest.all, held)
        finally:
            await bulk.close()
        return Outcome(contest.messages / (ended - said["began"]), cpus, verdict)


async def node_red_flow(contest: Contest, progress: Progress, installed: rivals.NodeRed) -> Outcome:
    """Measure the flow until every row is there; it acknowledges what it has not stored yet, we do not."""
    async with Stand(folder=contest.folder) as stand:
        await rivals.remember_subscription(stand)
        bulk = Bulk(stand.settings.database_url)
        await bulk.open()
        try:
            await bulk.make_flow_table()
            async with (
                installed.running(stand, METRICS[:METRICS_SENT]) as pid,
                _generator(stand, contest) as generator,
            ):
                await generator.flat(contest.machines)
                load = generator.load

                async def last_there(message: int) -> bool:
                    return await bulk.flow_there(message % load.machines, _time(load, message))

                await until_stored(contest.machines, last_there, bulk.flow_count)
                watch = Stopwatch(stand, flow=pid, generator=generator.pid)
                said = await generator.flat(contest.messages, progress=progress)
                ended = await until_stored(contest.all, last_there, bulk.flow_count)
                cpus = watch.shares()
                if await bulk.flow_total() != load.total(contest.all):
                    raise rivals.RivalFailedError("the flow stored other values than were sent")
                return Outcome(contest.messages / (ended - said["began"]), cpus)
        finally:
            await bulk.close()


async def until_stored(
    messages: int, last_there: Callable[[int], Awaitable[bool]], count: Callable[[], Awaitable[int]]
) -> float:
    """Return the time at which all of the messages were found stored.

    The last one is looked for, which is cheap; only then are all counted. Raises StalledError.
    """
    counted, moved_at = 0, time.monotonic()
    while True:
        now = time.time()
        if await last_there(messages - 1) or time.monotonic() - moved_at > STALLED_S / 4:
            found = await count()
            if found >= messages:
                return now
            if found > counted:
                counted, moved_at = found, time.monotonic()
        if time.monotonic() - moved_at > STALLED_S:
            raise StalledError(f"{counted} of {messages} messages are stored, and no more come")
        await asyncio.sleep(POLL_S)


def _generator(stand: Stand, contest: Contest) -> Generator:
    return Generator(stand, contest.machines, METRICS_SENT, SPACING_MS)


def _time(load: Load, message: int) -> datetime:
    """Return a message's time."""
    return datetime.fromtimestamp(load.time_ms(message) / 1000, UTC)
