"""From verdicts to messages of the bus: every field filled, rounded to what is known."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.messages import Anomaly, AnomalyType, Contributor, Deviation, Expected, ExpectedMetric, ModelRef
from broker.units import NO_TRUE_ZERO, unit_of
from detector.kinds import anomaly_type
from detector.models import Explanation, MetricView
from detector.verdict import Told

CONTRIBUTORS_MOST = 5


@dataclass(frozen=True, slots=True)
class Situation:
    """Machine and model at the row an event is about; `score` is of that row, or NaN.

    `known_type` is that of the episode, which its last, calm row does not change.
    """

    machine: str
    machine_name: str
    state: str
    score: float
    model: ModelRef
    now: datetime
    known_type: AnomalyType | None = None


def anomaly(
    told: Told,
    explanation: Explanation,
    situation: Situation,
) -> Anomaly:
    """Make the event. `value`, `expected`, `low` and `high` are of the mean over the window.

    `score` is the highest of the episode where the row itself has none.
    """
    episode = told.episode
    view = next((one for one in explanation.views if one.metric == episode.metric), explanation.views[0])
    absolute = view.window_value - view.window_expected
    ratio = view.window_expected != 0.0 and unit_of(view.metric) not in NO_TRUE_ZERO
    pct = 100.0 * absolute / abs(view.window_expected) if ratio else None
    return Anomaly(
        anomaly_id=episode.anomaly_id,
        phase=told.phase,
        machine=situation.machine,
        machine_name=situation.machine_name,
        metric=view.metric,
        value=_short(view.window_value),
        expected=_short(view.window_expected),
        low=_short(view.window_low),
        high=_short(view.window_high),
        deviation=Deviation(
            absolute=_short(absolute), sigma=_short(view.sigma), pct=None if pct is None else _short(pct)
        ),
        score=_short(episode.highest if math.isnan(situation.score) else situation.score),
        threshold=1.0,
        severity=episode.severity,
        anomaly_type=_type(told, explanation, situation),
        operating_state=situation.state,
        contributors=contributors(explanation.views),
        started_at=datetime.fromtimestamp(episode.started_s, UTC),
        duration_s=round(told.ts_s - episode.started_s, 3),
        model=situation.model,
        ts=datetime.fromtimestamp(told.ts_s, UTC),
        published_at=situation.now,
        excess_kwh=None if episode.excess_kwh is None else _short(episode.excess_kwh),
        cost=None if episode.cost is None else _short(episode.cost),
    )


def _type(told: Told, explanation: Explanation, situation: Situation) -> AnomalyType:
    if told.phase == "closed" and situation.known_type is not None:
        return situation.known_type
    return anomaly_type(explanation, situation.state, told.episode.rise_windows)


def contributors(views: tuple[MetricView, ...]) -> tuple[Contributor, ...]:
    """Return the five metrics that deviate most, their shares made to add up to 1."""
    strongest = views[:CONTRIBUTORS_MOST]
    whole = sum(view.share for view in strongest)
    return tuple(Contributor(metric=view.metric, share=view.share / whole) for view in strongest)


def expected(machine: str, ts_s: float, explanation: Explanation, *, state: str, score: float) -> Expected:
    """Make the retained state: what each metric should read now, and the band for a single reading."""
    return Expected(
        machine=machine,
        ts=datetime.fromtimestamp(ts_s, UTC),
        operating_state=state,
        score=_short(score),
        metrics={
            view.metric: ExpectedMetric(
                expected=_short(view.expected),
                low=_short(view.low),
                high=_short(view.high),
                score=_short(view.score),
            )
            for view in explanation.views
        },
    )


def _short(figure: float) -> float:
    """Seven digits: more than any sensor has, fewer than a float prints."""
    return float(f"{figure:.7g}")
