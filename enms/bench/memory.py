"""How much memory the gateway has while it stores a great many messages."""

from collections.abc import Sequence

from enms.bench.contest import METRICS_SENT, SPACING_MS, Contest
from enms.bench.generator import Generator, Progress
from enms.bench.stand import Stand


async def memory_over(
    contest: Contest, messages: int, rate: float, at: Sequence[float], progress: Progress
) -> list[float]:
    """Feed one gateway `messages`, `rate` a second; return its MiB after each share `at` of them."""
    found = []
    # The messages' own time passes as fast as the clock: none is late, none ahead.
    spacing_ms = max(SPACING_MS, round(contest.machines / rate * 1000))
    async with Stand(folder=contest.folder, workers=contest.workers) as stand:
        await stand.start_gateway()
        async with Generator(stand, contest.machines, METRICS_SENT, spacing_ms) as generator:
            sent = 0
            for share in at:
                part = round(messages * share) - sent
                await generator.flat(part, rate, progress)
                sent += part
                costs = stand.costs()
                found.append(sum(one.memory_mib for name, one in costs.items() if name.startswith("gateway")))
    return found
