"""Words for people: how severe an anomaly is, and of which type. Few, and decided here alone.

| severity | any of |
|---|---|
| critical | 3 times the threshold; 1.5 times for 4 hours; 100 of the price's currency lost |
| warning | 1.5 times the threshold; 2 hours; 10 of the price's currency lost |
| info | anything else that opened an episode |

| type | when, the first that holds; "first" is the metric that deviates most |
|---|---|
| stuck_sensor, missing_data, out_of_range | a sensor's checks say so |
| any | the model itself knows it, as a baseline knows standby_waste |
| stuck_sensor | the first has not moved for a whole window, and did in training |
| standby_waste | off, idle or in standby, with more power than that state is expected to draw |
| pattern | the first's spread is strange, not its level |
| spike | most of the window is near what is expected |
| drift | the score took more than 6 windows to rise from half the threshold to it |
| multivariate | no metric has 40 % of the deviation |
| level_shift | otherwise |
"""

from typing import Final

from broker.messages import AnomalyType, Severity
from detector.models.base import Explanation, MetricView
from detector.states import RESTING

WARNING_FROM: Final = 1.5
CRITICAL_FROM: Final = 3.0
WARNING_AFTER_S: Final = 2 * 3600.0
CRITICAL_AFTER_S: Final = 4 * 3600.0
WARNING_COST: Final = 10.0
CRITICAL_COST: Final = 100.0
DRIFT_WINDOWS: Final = 6.0
SHARED_BELOW: Final = 0.4
ORDER: Final[tuple[Severity, ...]] = ("info", "warning", "critical")


def severity(highest_score: float, duration_s: float, cost: float | None) -> Severity:
    """Return how severe an episode is by its size, its duration and what it has cost, see the table above.

    `highest_score` is the episode's highest so far, 1 being the threshold; `cost` is in the price's currency,
    None where it is not known. None of the three falls within an episode but the cost, so an episode keeps
    the highest severity it had.
    """
    lost = cost or 0.0
    lasting = highest_score >= WARNING_FROM and duration_s >= CRITICAL_AFTER_S
    if highest_score >= CRITICAL_FROM or lasting or lost >= CRITICAL_COST:
        return "critical"
    if highest_score >= WARNING_FROM or duration_s >= WARNING_AFTER_S or lost >= WARNING_COST:
        return "warning"
    return "info"


def anomaly_type(explanation: Explanation, state: str, rise_windows: float) -> AnomalyType:
    """Name the type by the first rule that holds, see the table above.

    `state` is what the machine is doing; `rise_windows` is how long the score took to rise from half the
    threshold to it, in windows.
    """
    if explanation.cause is not None:
        return explanation.cause
    first = explanation.views[0]
    if first.frozen and first.by_spread:
        return "stuck_sensor"
    if state in RESTING and any(_is_excess_power(view) for view in explanation.views):
        return "standby_waste"
    if first.by_spread:
        return "pattern"
    if first.brief:
        return "spike"
    return "drift" if rise_windows > DRIFT_WINDOWS else _level(first)


def _level(first: MetricView) -> AnomalyType:
    return "multivariate" if first.share < SHARED_BELOW else "level_shift"


def _is_excess_power(view: MetricView) -> bool:
    """Whether more power is drawn than may be, though what follows from it may deviate more."""
    return view.metric.endswith("_kw") and view.window_value > view.window_high
