"""Whether the detector keeps up while the load is held, by what it says of itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from broker.messages import Percentiles, Scoring
from detector.hops import SECONDS
from enms.bench.keeping_up import newest, said
from enms.bench.lag import GROWING_S
from enms.bench.report import Report
from enms.bench.tab import Tab

HOP: Final = "measured_scored"
LAG_LIMIT_MS: Final = 1000.0
DRAIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of scoring: the last that the detector said, and the worst since the load had settled."""

    sent: int
    last: Scoring
    lags: tuple[Percentiles, ...]
    oldest_ms: float
    middles_ms: tuple[float, ...]
    from_the_start_p99_ms: float

    @property
    def lag_p99_ms(self) -> float:
        """The worst p99 of any minute, from the time a row is from until it is scored."""
        return max((one.p99_ms for one in self.lags), default=float("inf"))

    @property
    def growing(self) -> bool:
        """Whether the median lag was longer and longer."""
        half = len(self.middles_ms) // 2
        if not half:
            return False
        first, second = self.middles_ms[:half], self.middles_ms[half:]
        return float(np.median(second) - np.median(first)) > GROWING_S * 1000

    @property
    def why_not(self) -> str:
        """Why scoring did not keep up, empty if it did."""
        if self.last.rows < self.sent:
            return f"{self.sent - self.last.rows:,} rows were not scored"
        if self.last.rows > self.sent:
            return f"{self.last.rows - self.sent:,} rows were scored twice"
        if not self.lags:
            return "the detector did not say how it keeps up"
        if self.lag_p99_ms > LAG_LIMIT_MS:
            return f"scoring lag p99 {self.lag_p99_ms:,.0f} ms"
        return "the scoring lag was growing" if self.growing else ""


async def scored(tab: Tab, sent: int, settled_s: float) -> Scored:
    """Wait until all that was sent is scored, or no longer; sum up what was said from `settled_s` on."""

    def done(heard: Tab) -> bool:
        now = newest(heard)
        return now is not None and now.rows >= sent

    await tab.until(done, DRAIN_S)
    every = said(tab)
    return summed_up(every, sent, settled_s)


def summed_up(every: Sequence[Scoring], sent: int, settled_s: float) -> Scored:
    """Sum up messages, oldest first; `settled_s` is in epoch seconds.

    A message tells of the minute before it, so those of the first minute after `settled_s` would tell of
    what was before as well; they count only where the load did not last longer.
    """
    later = [one for one in every if one.ts.timestamp() >= settled_s]
    whole = [one for one in later if one.ts.timestamp() >= settled_s + SECONDS]
    first = max((one.hops[HOP].p99_ms for one in every if HOP in one.hops), default=0.0)
    lags = tuple(one.hops[HOP] for one in whole or later if HOP in one.hops)
    middles_ms = tuple(one.hops[HOP].p50_ms for one in later if HOP in one.hops)
    oldest_ms = max((one.oldest_ms for one in later), default=0.0)
    return Scored(sent, every[-1], lags, oldest_ms, middles_ms, first)


def add_scored(report: Report, found: Scored) -> None:
    """Tell how scoring kept up."""
    last = found.last
    report.add("scored", last.rows, "rows", promised=(None, found.sent), note=f"of {found.sent:,} sent")
    report.add("unscored", last.unscored, "rows", note="late, or of a machine without a model")
    if found.lags:
        worst = f"the worst of {len(found.lags)} looks at the last minute"
        report.add("score_lag_p50_ms", max(one.p50_ms for one in found.lags), "ms", note=worst)
        limit = (LAG_LIMIT_MS, LAG_LIMIT_MS)
        report.add("score_lag_p99_ms", found.lag_p99_ms, "ms", promised=limit, note=worst)
        report.add("score_lag_p99_from_the_start_ms", found.from_the_start_p99_ms, "ms")
        report.add("score_lag_growing", float(found.growing), "1 = yes")
    report.add("score_oldest_ms", found.oldest_ms, "ms", note="longest that a row was seen waiting")
    report.add("episodes_opened", last.opened, "episodes")
    report.add("refits", last.refits, "models", note=f"{last.refits_waiting} waiting at the end")
