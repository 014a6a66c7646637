import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from broker.messages import ModelRef
from detector.events import Situation, anomaly, expected
from detector.kinds import anomaly_type, severity
from detector.models import Explanation, MetricView
from detector.states import operating_state, power_metric
from detector.verdict import Episode, Told

POWER = MetricView(
    metric="power_kw",
    value=52.0,
    expected=40.0,
    low=37.0,
    high=43.0,
    window_value=50.0,
    window_expected=40.0,
    window_low=38.0,
    window_high=42.0,
    sigma=25.0,
    score=5.0,
    share=0.7,
    by_spread=False,
    frozen=False,
    brief=False,
)
OTHER = replace(POWER, metric="current_a", share=0.3)


@pytest.mark.parametrize(
    ("score", "hours", "cost", "word"),
    [
        (1.0, 0.0, None, "info"),
        (1.49, 1.9, 9.0, "info"),
        (1.5, 0.0, None, "warning"),
        (1.0, 2.0, None, "warning"),
        (1.0, 0.0, 10.0, "warning"),
        (2.9, 3.9, 99.0, "warning"),
        (3.0, 0.0, None, "critical"),
        (1.5, 4.0, None, "critical"),
        (1.4, 90.0, None, "warning"),
        (1.0, 0.0, 100.0, "critical"),
        (1.0, 0.0, -500.0, "info"),
    ],
)
def test_severity_follows_size_duration_and_cost(
    score: float, hours: float, cost: float | None, word: str
) -> None:
    assert severity(score, 3600.0 * hours, cost) == word


@pytest.mark.parametrize(
    ("change", "state", "rise", "word"),
    [
        ({}, "running", 0.0, "level_shift"),
        ({}, "running", 7.0, "drift"),
        ({"brief": True}, "running", 7.0, "spike"),
        ({"by_spread": True}, "running", 0.0, "pattern"),
        ({"by_spread": True, "frozen": True}, "running", 0.0, "stuck_sensor"),
        ({}, "idle", 0.0, "standby_waste"),
        ({"window_value": 39.0}, "idle", 0.0, "level_shift"),
        ({"share": 0.3}, "running", 0.0, "multivariate"),
    ],
)
def test_the_type_is_the_first_rule_that_holds(
    change: dict[str, float | bool], state: str, rise: float, word: str
) -> None:
    view = replace(POWER, **change)  # type: ignore[arg-type]
    assert anomaly_type(Explanation((view, OTHER)), state, rise) == word


def test_what_the_model_or_a_sensor_knows_is_the_type() -> None:
    assert anomaly_type(Explanation((POWER, OTHER), "out_of_range"), "idle", 7.0) == "out_of_range"


def test_power_wasted_in_standby_is_told_though_another_metric_deviates_more() -> None:
    current, power = replace(OTHER, share=0.95), replace(POWER, share=0.05)
    assert anomaly_type(Explanation((current, power)), "off", 0.0) == "standby_waste"
    assert anomaly_type(Explanation((current, power)), "running", 0.0) == "level_shift"


def test_the_state_is_what_the_machine_says_else_what_its_power_says() -> None:
    assert operating_state({"operating_mode": "Idle"}, 90.0, 100.0) == "idle"
    assert [operating_state({}, kw, 100.0) for kw in (1.0, 20.0, 80.0)] == ["off", "idle", "running"]
    assert operating_state({}, None, 100.0) == "unknown"
    assert operating_state({}, 5.0, None) == "unknown"


def test_the_power_metric_is_the_named_one_else_the_first_in_kw() -> None:
    assert power_metric(("a_kw", "power_kw")) == "power_kw"
    assert power_metric(("flow_m3h", "drive_kw")) == "drive_kw"
    assert power_metric(("flow_m3h",)) is None


def test_an_event_has_every_field_in_the_metrics_own_unit() -> None:
    episode = Episode("abc", "power_kw", 1000.0, 5.0, 1010.0, "critical", 0.0, 0.25)
    now = datetime(2026, 3, 9, tzinfo=UTC)
    situation = Situation("press-7", "Press 7", "running", 4.0, ModelRef(name="normal", version="3"), now)
    event = anomaly(Told("updated", episode, 1010.0), Explanation((POWER, OTHER)), situation)
    assert (event.value, event.expected, event.low, event.high) == (50.0, 40.0, 38.0, 42.0)
    assert (event.deviation.absolute, event.deviation.pct, event.deviation.sigma) == (10.0, 25.0, 25.0)
    assert (event.duration_s, event.severity, event.excess_kwh) == (10.0, "critical", 0.25)
    assert [(one.metric, one.share) for one in event.contributors] == [("power_kw", 0.7), ("current_a", 0.3)]
    closed = anomaly(
        Told("closed", episode, 1010.0), Explanation((OTHER,)), replace(situation, score=float("nan"))
    )
    assert (closed.score, closed.contributors[0].share) == (5.0, 1.0)


def test_a_temperature_deviates_by_degrees_and_not_by_a_percentage() -> None:
    episode = Episode("abc", "outdoor_temperature_c", 1000.0, 5.0, 1010.0, "info", 0.0, None)
    view = replace(POWER, metric="outdoor_temperature_c")
    situation = Situation(
        "hvac-1",
        "HVAC",
        "running",
        1.0,
        ModelRef(name="normal", version="1"),
        datetime(2026, 3, 9, tzinfo=UTC),
    )
    event = anomaly(Told("opened", episode, 1010.0), Explanation((view,)), situation)
    assert (event.deviation.absolute, event.deviation.pct) == (10.0, None)


def test_what_is_expected_is_for_the_single_reading() -> None:
    told = expected("press-7", 1000.0, Explanation((POWER,)), state="running", score=0.4)
    assert told.metrics["power_kw"].expected == 40.0
    assert told.metrics["power_kw"].high == 43.0
    assert re.fullmatch(r"1970-01-01T00:16:40\+00:00", told.ts.isoformat())
