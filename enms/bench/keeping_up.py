"""What the detector says of itself while a benchmark runs, as a tab hears it."""

from typing import Final

from broker.messages import Percentiles, Scoring, decode
from broker.topics import SystemScoringTopic
from enms.bench.report import Report
from enms.bench.stand import Stand
from enms.bench.tab import Tab

TOPIC: Final = str(SystemScoringTopic())
SERVING_S: Final = 300.0


class NotServingError(RuntimeError):
    """The detector did not take over the models it was given; the message has its last words."""


def said(tab: Tab) -> list[Scoring]:
    """Return all that was heard, oldest first."""
    return [decode(Scoring, one.payload.encode()) for one in tab.heard if one.topic == TOPIC]


def newest(tab: Tab) -> Scoring | None:
    """Return the last that was heard."""
    last = next((one for one in reversed(tab.heard) if one.topic == TOPIC), None)
    return None if last is None else decode(Scoring, last.payload.encode())


async def until_serving(stand: Stand, tab: Tab, machines: int) -> None:
    """Wait until the detector serves so many machines. Raises NotServingError."""

    def enough(heard: Tab) -> bool:
        now = newest(heard)
        return now is not None and now.machines >= machines

    if not await tab.until(enough, SERVING_S):
        now = newest(tab)
        serves = "said nothing" if now is None else f"serves {now.machines:,}"
        raise NotServingError(f"the detector {serves} of {machines:,} machines: {stand.log('detector')}")


def add_hops(report: Report, hops: dict[str, Percentiles]) -> None:
    """Tell each hop's percentiles."""
    for name, hop in hops.items():
        note = f"p50 {hop.p50_ms:.3g}, p95 {hop.p95_ms:.3g}; of the last minute"
        report.add(f"hop_{name}_p99_ms", hop.p99_ms, "ms", note=note)
