"""A metric's unit follows from the ending of its name; the longest ending decides."""

import pytest

from broker.units import UNITS, unit_of


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("power_kw", "kW"),
        ("electricity.power_kw", "kW"),
        ("energy_kwh", "kWh"),
        ("voltage_l1_v", "V"),
        ("supply_c", "°C"),
        ("vibration_mm_s", "mm/s"),
        ("speed_m_s", "m/s"),
        ("flow_l_min", "L/min"),
        ("flow_m3h", "m³/h"),
        ("volume_m3", "m³"),
        ("load_pct", "%"),
        ("good_count", "pieces"),
        ("cycle_s", "s"),
        ("operating_mode", ""),
        ("kw", ""),
        ("power_kW", ""),
        ("shift", ""),
        ("", ""),
    ],
)
def test_the_ending_tells_the_unit(metric: str, unit: str) -> None:
    assert unit_of(metric) == unit


@pytest.mark.parametrize("ending", UNITS)
def test_every_ending_gives_its_own_unit(ending: str) -> None:
    assert unit_of(f"x{ending}") == UNITS[ending]
