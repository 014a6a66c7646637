import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.rows import Floats
from detector.signals_rates import CounterRate, counter_rule, counts, rates

SECONDS = np.arange(6000.0)


def metered(power_kw: Floats, resolution_kwh: float) -> Floats:
    """Return what a meter of this resolution shows of a power drawn second by second."""
    energy_kwh = np.cumsum(power_kw / 3600.0)
    return energy_kwh if not resolution_kwh else np.floor(energy_kwh / resolution_kwh) * resolution_kwh


@pytest.mark.parametrize("resolution_kwh", [0.0, 0.001, 0.01, 0.1, 1.0])
def test_a_meter_of_any_resolution_tells_the_power_drawn_and_that_it_stopped(resolution_kwh: float) -> None:
    power_kw = np.where(SECONDS < 3000, 30.0 + np.sin(SECONDS), 0.0)
    readings = metered(power_kw, resolution_kwh)
    told_kw = rates(counter_rule(SECONDS, readings, 1.0, 60.0), SECONDS, readings)
    assert np.mean(told_kw[600:2900]) == pytest.approx(30.0, rel=0.02)
    assert np.max(told_kw[600:2900]) < 40.0
    assert np.max(told_kw[4500:]) < max(0.1, 3.0 * resolution_kwh)


@given(st.integers(1, 5998), st.sampled_from([0.0, 0.001, 0.1]))
def test_a_reset_gives_no_rate_and_no_leap(at: int, resolution_kwh: float) -> None:
    readings = metered(np.full(6000, 36.0), resolution_kwh)
    rule = counter_rule(SECONDS, readings, 1.0, 60.0)
    again = np.where(np.arange(6000) < at, readings, readings - readings[at])
    told_kw = rates(rule, SECONDS, again)
    fell = again[at] < again[at - 1]
    assert np.isnan(told_kw[at]) == fell or np.isnan(told_kw[at - 1])
    assert np.nanmax(told_kw, initial=0.0) < 60.0
    assert np.nanmin(told_kw, initial=0.0) >= 0.0


def test_a_gap_gives_no_rate_and_a_missing_reading_none_either() -> None:
    readings = metered(36.0 + np.sin(SECONDS), 0.0)
    rule = counter_rule(SECONDS, readings, 1.0, 60.0)
    meter = CounterRate(rule)
    assert np.isnan(meter.take(0.0, 100.0))
    assert meter.take(1.0, 100.01) == pytest.approx(36.0)
    assert np.isnan(meter.take(2.0, np.nan))
    assert meter.take(3.0, 100.03) == pytest.approx(36.0)
    assert np.isnan(meter.take(500.0, 105.0))
    assert meter.take(501.0, 105.01) == pytest.approx(36.0)


def test_a_meter_with_resets_is_a_counter() -> None:
    readings = metered(np.full(6000, 36.0), 0.01) % 25.0
    assert counts("energy_kwh", readings)
    assert counts("meter_reading", readings)


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("energy_kwh", 5.0 + np.sin(SECONDS / 50.0)),
        ("production_count", np.floor(6.5 + np.sin(SECONDS / 50.0))),
        ("temperature_c", 20.0 + SECONDS / 100.0),
        ("valve", np.where(SECONDS < 3000, 0.0, 1.0)),
        ("energy_kwh", np.full(6000, 7.0)),
        ("level", np.floor(SECONDS / 100.0)),
        ("meter_kwh", np.full(6000, np.nan)),
    ],
)
def test_what_goes_up_and_down_or_is_a_level_is_no_counter(metric: str, values: Floats) -> None:
    assert not counts(metric, values)
