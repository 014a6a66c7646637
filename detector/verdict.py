"""Episodes: when one opens, is told again, and closes. A pure state machine; time is an argument."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from broker.messages import Severity
from detector.kinds import ORDER, severity
from detector.models.base import Patience

UPDATE_S: Final = 30.0
RISE_AGAIN: Final = 1.5
"""What a faded fault left behind must rise by so much to be a fault again."""
Phase = Literal["opened", "updated", "closed"]


@dataclass(frozen=True, slots=True)
class Episode:
    """An open episode. Times are epoch seconds; `metric` is the one that deviated most when it opened.

    `severity` never falls; `cost` is that of `excess_kwh`, in the currency of the price. `left` is the score
    that remained when it closed because it had faded, 0 else. `excess_s` is up to when the excess is summed
    up: not every row tells it.
    """

    anomaly_id: str
    metric: str
    started_s: float
    highest: float
    told_s: float
    severity: Severity
    rise_windows: float
    excess_kwh: float | None = None
    cost: float | None = None
    left: float = 0.0
    excess_s: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one machine after its last row.

    `above_s` and `above_rows`: since when, and for how many rows, the score has been above the threshold.
    `calm_s`: since when it has been below the closing line. `low_s`: when it was last below half.
    `left` is what the last episode left behind, until that is gone: 0.
    """

    machine: str
    last_s: float | None = None
    above_s: float | None = None
    above_rows: int = 0
    above_highest: float = 0.0
    calm_s: float | None = None
    low_s: float | None = None
    episode: Episode | None = None
    left: float = 0.0

    @property
    def suspicious(self) -> bool:
        """Whether an episode is open, could be about to open, or has left something behind."""
        return self.episode is not None or self.above_rows > 0 or self.left > 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A scored row. `score` is 1 at the threshold, or NaN; `excess_kw` is power less what is expected.

    `held` says that there is no score because the machine changes over; `price` is that of a kWh.
    """

    ts_s: float
    score: float
    metric: str
    excess_kw: float | None = None
    held: bool = False
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Something to publish about an episode, which is as it is after the row of `ts_s`."""

    phase: Phase
    episode: Episode
    ts_s: float


def anomaly_id(machine: str, started_s: float, metric: str) -> str:
    """Return the id an episode has in every run over the same data, whatever model found it."""
    start = datetime.fromtimestamp(round(started_s, 3), UTC).isoformat(timespec="milliseconds")
    return hashlib.sha256(f"{machine}|{start}|{metric}".encode()).hexdigest()[:20]


def step(verdict: Verdict, seen: Seen, patience: Patience) -> tuple[Verdict, list[Told]]:
    """Take one row in order of time; return the new verdict and what is to be told.

    An episode opens and closes as `patience` says, and counts from the first row that was above the
    threshold. A row without a score changes nothing, but that in a change-over what was above or calm
    before counts no more. After a hole an open episode is closed as of its last row.
    """
    told: list[Told] = []
    if verdict.last_s is not None and seen.ts_s - verdict.last_s > patience.hole_s:
        verdict, told = vanish(verdict)
    if seen.score != seen.score:
        verdict = replace(verdict, last_s=seen.ts_s)
        if seen.held:
            verdict = replace(verdict, above_s=None, above_rows=0, above_highest=0.0, calm_s=None)
        return verdict, told
    before_s = verdict.last_s
    verdict = _count(verdict, seen, patience)
    if verdict.episode is None:
        verdict, more = _maybe_open(verdict, seen, patience)
    else:
        verdict, more = _go_on(verdict, verdict.episode, seen, before_s, patience)
    return verdict, told + more


def vanish(verdict: Verdict) -> tuple[Verdict, list[Told]]:
    """Forget runs and close an open episode as of its last row, because the data stopped there."""
    fresh = Verdict(verdict.machine)
    if verdict.episode is None or verdict.last_s is None:
        return fresh, []
    return fresh, [Told("closed", verdict.episode, verdict.last_s)]


def resumed(machine: str, kept: Episode, last_s: float) -> Verdict:
    """Go on with an episode as it was kept: open, or closed with something left behind."""
    return Verdict(machine, last_s, episode=None if kept.left else kept, left=kept.left)


def _count(verdict: Verdict, seen: Seen, patience: Patience) -> Verdict:
    left = verdict.left if seen.score >= patience.calm_ratio else 0.0
    above = seen.score >= max(1.0, RISE_AGAIN * left)
    line = patience.calm_ratio
    if verdict.episode is not None:
        line = max(line, patience.fade_ratio * verdict.episode.highest)
    first = verdict.above_s if verdict.above_s is not None else seen.ts_s
    calm = verdict.calm_s if verdict.calm_s is not None else seen.ts_s
    return replace(
        verdict,
        last_s=seen.ts_s,
        above_s=first if above else None,
        above_rows=verdict.above_rows + 1 if above else 0,
        above_highest=max(verdict.above_highest, seen.score) if above else 0.0,
        calm_s=calm if seen.score < line else None,
        left=left,
        low_s=seen.ts_s if seen.score < 0.5 or verdict.low_s is None else verdict.low_s,  # noqa: PLR2004
    )


def _maybe_open(verdict: Verdict, seen: Seen, patience: Patience) -> tuple[Verdict, list[Told]]:
    if verdict.above_rows < patience.rows or verdict.above_s is None:
        return verdict, []
    if seen.ts_s - verdict.above_s < patience.least_s:
        return verdict, []
    started = verdict.above_s
    excess_kwh = None if seen.excess_kw is None else seen.excess_kw * (seen.ts_s - started) / 3600.0
    cost = _cost(excess_kwh, seen.price)
    episode = Episode(
        anomaly_id=anomaly_id(verdict.machine, started, seen.metric),
        metric=seen.metric,
        started_s=started,
        highest=verdict.above_highest,
        told_s=seen.ts_s,
        severity=severity(verdict.above_highest, seen.ts_s - started, cost),
        rise_windows=(started - (verdict.low_s if verdict.low_s is not None else started))
        / patience.window_s,
        excess_kwh=excess_kwh,
        cost=cost,
        excess_s=seen.ts_s,
    )
    return replace(verdict, episode=episode, calm_s=None, left=0.0), [Told("opened", episode, seen.ts_s)]


def _go_on(
    verdict: Verdict, episode: Episode, seen: Seen, before_s: float | None, patience: Patience
) -> tuple[Verdict, list[Told]]:
    excess, summed_s = episode.excess_kwh, episode.excess_s or before_s
    if seen.excess_kw is not None:
        hours = 0.0 if summed_s is None else (seen.ts_s - summed_s) / 3600.0
        excess, summed_s = (excess or 0.0) + seen.excess_kw * hours, seen.ts_s
    highest, cost = max(episode.highest, seen.score), _cost(excess, seen.price)
    now = severity(highest, seen.ts_s - episode.started_s, cost)
    rises = ORDER.index(now) > ORDER.index(episode.severity)
    episode = replace(episode, highest=highest, excess_kwh=excess, cost=cost, excess_s=summed_s)
    episode = replace(episode, severity=now) if rises else episode
    if verdict.calm_s is not None and seen.ts_s - verdict.calm_s >= patience.calm_s:
        left = seen.score if seen.score >= patience.calm_ratio else 0.0
        closed = replace(episode, left=left)
        return _begun_anew(verdict, left), [Told("closed", closed, seen.ts_s)]
    told: list[Told] = []
    if rises or seen.ts_s - episode.told_s >= UPDATE_S:
        episode = replace(episode, told_s=seen.ts_s)
        told = [Told("updated", episode, seen.ts_s)]
    return replace(verdict, episode=episode), told


def _begun_anew(verdict: Verdict, left: float) -> Verdict:
    """Return the verdict without its episode; rows that were above in it do not count for the next."""
    if not left:
        return replace(verdict, episode=None)
    return replace(
        verdict, episode=None, left=left, above_s=None, above_rows=0, above_highest=0.0, calm_s=None
    )


def _cost(excess_kwh: float | None, price: float | None) -> float | None:
    return None if excess_kwh is None or price is None else excess_kwh * price
