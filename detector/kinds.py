"""Words for people: how severe an anomaly is, and of which type. Few, and decided here alone."""

from typing import Final

from broker.messages import AnomalyType, Severity
from detector.models.base import Explanation, MetricView
from detector.states import RESTING

WARNING_FROM: Final = 1.5
CRITICAL_FROM: Final = 3.0
DRIFT_WINDOWS: Final = 6.0
SHARED_BELOW: Final = 0.4
ORDER: Final[tuple[Severity, ...]] = ("info", "warning", "critical")


def severity(highest_score: float, duration_s: float, cost: float | None) -> Severity:
    """Return `critical` from 3 times the threshold on, `warning` from 1.5 times, `info` below.

    `highest_score` is the episode's highest so far, so severity never falls within an episode.
    """
    del duration_s, cost
    if highest_score >= CRITICAL_FROM:
        return "critical"
    return "warning" if highest_score >= WARNING_FROM else "info"


def anomaly_type(explanation: Explanation, state: str, rise_windows: float) -> AnomalyType:
    """Name the type by the first rule that holds for the metric that deviates most.

    stuck_sensor: it has not moved for a whole window, and did in training. standby_waste: more power than
    expected while off, idle or in standby. pattern: its spread is strange, not its level. spike: most of the
    window is near what is expected. drift: the score took more than 6 windows to rise from half the threshold
    to it. multivariate: no metric has 40 % of the deviation. level_shift: otherwise.
    """
    first = explanation.views[0]
    if first.frozen and first.by_spread:
        return "stuck_sensor"
    if state in RESTING and _is_excess_power(first):
        return "standby_waste"
    if first.by_spread:
        return "pattern"
    if first.brief:
        return "spike"
    if rise_windows > DRIFT_WINDOWS:
        return "drift"
    return "multivariate" if first.share < SHARED_BELOW else "level_shift"


def _is_excess_power(view: MetricView) -> bool:
    return view.metric.endswith("_kw") and view.window_value > view.window_high
