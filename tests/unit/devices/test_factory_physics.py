"""Twins with the same seed draw the same noise, so every difference between them is the fault's."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import fmean

import pytest

from broker.topics import check_level
from devices.factory import Factory, Fault, FaultKind, MachineSpec, Row, plant
from devices.factory.kinds import KINDS

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
FORENOON = MONDAY + timedelta(hours=8)
NIGHT = MONDAY + timedelta(days=5, hours=23)
PLANT = plant()
ONE_OF_EACH = plant(len(KINDS))
RESTING = [spec for spec in PLANT if spec.shifts != "continuous"]
CONTINUOUS = [spec for spec in PLANT if spec.shifts == "continuous"]


@cache
def sunday_and_monday() -> Mapping[str, list[Row]]:
    begin = MONDAY - timedelta(hours=12)
    factory = Factory(PLANT, 3, begin)
    rows: dict[str, list[Row]] = {spec.name: [] for spec in PLANT}
    for number in range(0, 36 * 60, 5):
        for name, row in factory.step(begin + timedelta(minutes=number)).items():
            rows[name].append(row)
    return rows


def values(rows: list[Row], metric: str) -> list[float]:
    return [row.numbers[metric] for row in rows]


def run(
    fault: Fault | None, begin: datetime, minutes: int, machines: tuple[MachineSpec, ...] = ONE_OF_EACH
) -> dict[str, list[Row]]:
    factory = Factory(machines, 3, begin - timedelta(minutes=10))
    if fault is not None:
        factory.inject(fault)
    rows: dict[str, list[Row]] = {spec.name: [] for spec in machines}
    for number in range(minutes):
        for name, row in factory.step(begin + timedelta(minutes=number)).items():
            rows[name].append(row)
    return rows


@cache
def healthy(begin: datetime, minutes: int) -> dict[str, list[Row]]:
    return run(None, begin, minutes)


def change_pct(machine: str, kind: FaultKind, metric: str, begin: datetime, last: int = 30) -> float:
    """Mean change of a metric by a fault of full severity, over the `last` of 120 minutes."""
    alone = tuple(spec for spec in ONE_OF_EACH if spec.name == machine)
    sick = run(Fault(machine, kind, 1.0, begin), begin, 120, alone)[machine][-last:]
    well = healthy(begin, 120)[machine][-last:]
    usual = fmean(values(well, metric))
    return 100 * (fmean(values(sick, metric)) - usual) / usual


@pytest.mark.parametrize("spec", PLANT, ids=lambda spec: spec.name)
def test_a_healthy_machine_stays_within_its_rating_and_its_announced_spans(spec: MachineSpec) -> None:
    said = spec.announce()
    assert said.rated_power_kw is not None
    for metric, info in said.metrics.items():
        seen = values(sunday_and_monday()[spec.name], metric)
        assert info.min is not None
        assert info.max is not None
        assert info.min <= min(seen), metric
        assert max(seen) < info.max, metric
    assert max(values(sunday_and_monday()[spec.name], "power_kw")) <= said.rated_power_kw


@pytest.mark.parametrize("spec", RESTING, ids=lambda spec: spec.name)
def test_power_is_lower_on_sunday_than_at_work(spec: MachineSpec) -> None:
    rows = sunday_and_monday()[spec.name]
    at_work = [row for row in rows if row.states["operating_mode"] == "running"]
    sunday = [row for row in rows if row.ts.weekday() == 6]
    assert len(at_work) > 60
    assert fmean(values(sunday, "power_kw")) < 0.8 * fmean(values(at_work, "power_kw"))


@pytest.mark.parametrize("spec", CONTINUOUS, ids=lambda spec: spec.name)
def test_a_machine_in_continuous_shifts_works_on_sunday_too(spec: MachineSpec) -> None:
    rows = sunday_and_monday()[spec.name]
    modes = [row.states["operating_mode"] for row in rows if row.ts.weekday() == 6]
    assert modes.count("running") > 0.9 * len(modes)


@pytest.mark.parametrize("spec", RESTING, ids=lambda spec: spec.name)
def test_machines_say_off_or_idle_on_sunday_and_never_run(spec: MachineSpec) -> None:
    rest = [row for row in sunday_and_monday()[spec.name] if row.ts.weekday() == 6]
    assert {row.states["operating_mode"] for row in rest} == {"idle" if spec.kind.always_on else "off"}


def test_meals_are_idle_and_starting_takes_a_while() -> None:
    factory = Factory(PLANT, 3, MONDAY)
    modes = [
        factory.step(MONDAY + timedelta(hours=hour, minutes=minute))["injection-moulding-1"].states[
            "operating_mode"
        ]
        for hour, minute in ((5, 0), (6, 20), (8, 0), (10, 15), (12, 0), (23, 0))
    ]
    assert modes == ["off", "startup", "running", "idle", "running", "off"]


def test_a_boiler_works_harder_in_winter_and_a_ventilation_unit_in_winter_than_in_spring() -> None:
    powers = {}
    for month in (1, 5):
        begin = datetime(2026, month, 13, 8, tzinfo=UTC)
        rows = healthy(begin, 120)
        powers[month] = {name: fmean(values(rows[name], "power_kw")) for name in ("boiler-1", "hvac-1")}
    assert powers[1]["boiler-1"] > 1.1 * powers[5]["boiler-1"]
    assert powers[1]["hvac-1"] > 1.1 * powers[5]["hvac-1"]


def test_there_are_at_least_seven_kinds_and_two_of_each() -> None:
    kinds = [spec.kind.name for spec in PLANT]
    assert len(set(kinds)) >= 7
    assert {kinds.count(kind) for kind in kinds} == {2}
    assert {"compressor-1", "compressor-2", "boiler-1", "injection-moulding-2"} <= {s.name for s in PLANT}


@pytest.mark.parametrize("spec", ONE_OF_EACH, ids=lambda spec: spec.name)
def test_a_machine_announces_its_place_and_four_to_seven_metrics_with_units(spec: MachineSpec) -> None:
    said = spec.announce()
    check_level("machine", spec.name)
    assert said.place is not None
    assert said.place.site
    assert said.place.area
    assert said.place.line
    assert 4 <= len(said.metrics) <= 7
    assert all(info.unit for info in said.metrics.values())
    row = Factory([spec], 1, MONDAY).step(MONDAY)[spec.name]
    assert set(row.numbers) == set(said.metrics)


@pytest.mark.parametrize(
    ("machine", "kind"),
    [
        (spec.name, kind)
        for spec in ONE_OF_EACH
        for kind in sorted(spec.kind.faults)
        if kind not in {FaultKind.STUCK_SENSOR, FaultKind.STANDBY_WASTE}
    ],
)
def test_every_fault_a_kind_can_have_changes_its_readings_and_no_other_machine(
    machine: str, kind: FaultKind
) -> None:
    sick = run(Fault(machine, kind, 0.6, FORENOON), FORENOON, 90)
    well = healthy(FORENOON, 90)
    for name in well:
        assert (sick[name] != well[name]) == (name == machine), name
    moved = [
        100 * abs(fmean(values(sick[machine][-30:], m)) / fmean(values(well[machine][-30:], m)) - 1)
        for m in well[machine][0].numbers
        if m != "outdoor_temperature_c"
    ]
    assert max(moved) > 2.5, "somebody who watches can see it"


@pytest.mark.parametrize(
    ("machine", "kind", "metric", "least_pct", "most_pct"),
    [
        ("compressor-1", FaultKind.LEAK, "flow_m3h", 5, 60),
        ("compressor-1", FaultKind.LEAK, "power_kw", 5, 60),
        ("compressor-1", FaultKind.LEAK, "temperature_c", 3, 60),
        ("compressor-1", FaultKind.FOULING, "temperature_c", 10, 80),
        ("boiler-1", FaultKind.FOULING, "power_kw", 5, 30),
        ("hvac-1", FaultKind.LEAK, "power_kw", 5, 80),
        ("hvac-1", FaultKind.FOULING, "flow_m3h", -50, -5),
        ("injection-moulding-1", FaultKind.LEAK, "pressure_bar", -40, -5),
        ("injection-moulding-1", FaultKind.LEAK, "power_kw", 5, 50),
        ("pump-1", FaultKind.BEARING_WEAR, "vibration_mm_s", 100, 600),
        ("pump-1", FaultKind.BEARING_WEAR, "temperature_c", 20, 150),
        ("pump-1", FaultKind.LEAK, "pressure_bar", -50, -5),
        ("motor-1", FaultKind.PHASE_LOSS, "current_a", 50, 120),
        ("motor-1", FaultKind.PHASE_LOSS, "speed_rpm", -20, -1),
        ("motor-1", FaultKind.PHASE_LOSS, "temperature_c", 20, 200),
        ("motor-1", FaultKind.BEARING_WEAR, "power_kw", 3, 30),
        ("oven-1", FaultKind.PHASE_LOSS, "temperature_c", -60, -5),
        ("oven-1", FaultKind.LEAK, "power_kw", 5, 60),
    ],
)
def test_a_fault_moves_what_physics_says(
    machine: str, kind: FaultKind, metric: str, least_pct: float, most_pct: float
) -> None:
    assert least_pct < change_pct(machine, kind, metric, FORENOON) < most_pct


def test_a_leak_costs_most_in_proportion_when_nobody_works() -> None:
    at_night = change_pct("compressor-1", FaultKind.LEAK, "power_kw", NIGHT)
    assert at_night > 100
    assert at_night > change_pct("compressor-1", FaultKind.LEAK, "power_kw", FORENOON)


def test_power_follows_a_leak_at_once_and_temperature_slowly() -> None:
    sick = run(Fault("compressor-1", FaultKind.LEAK, 0.4, FORENOON), FORENOON, 90)["compressor-1"]
    well = healthy(FORENOON, 90)["compressor-1"]
    power = [a - b for a, b in zip(values(sick, "power_kw"), values(well, "power_kw"), strict=True)]
    heat = [a - b for a, b in zip(values(sick, "temperature_c"), values(well, "temperature_c"), strict=True)]
    assert power[3] > 0.8 * power[-1] > 0
    assert 0 <= heat[3] < 0.4 * heat[-1]


@pytest.mark.parametrize("spec", ONE_OF_EACH, ids=lambda spec: spec.name)
def test_standby_waste_draws_power_only_while_the_machine_does_not_work(spec: MachineSpec) -> None:
    begin = NIGHT
    waste = run(Fault(spec.name, FaultKind.STANDBY_WASTE, 0.5, begin), begin, 30)[spec.name]
    well = healthy(begin, 30)[spec.name]
    extra = fmean(values(waste, "power_kw")) - fmean(values(well, "power_kw"))
    assert extra == pytest.approx(0.1 * spec.rated_kw, rel=0.1)
    at_work = run(Fault(spec.name, FaultKind.STANDBY_WASTE, 0.5, FORENOON), FORENOON, 90)
    assert at_work[spec.name] == healthy(FORENOON, 90)[spec.name]


def test_no_fault_draws_more_than_the_fuse_allows() -> None:
    factory = Factory(ONE_OF_EACH, 3, FORENOON)
    for spec in ONE_OF_EACH:
        for kind in spec.kind.faults:
            factory.inject(Fault(spec.name, kind, 1.0, FORENOON))
    for number in range(60):
        for name, row in factory.step(FORENOON + timedelta(minutes=number)).items():
            spec = factory.machines[name]
            assert 0 <= row.numbers["power_kw"] <= 1.2 * spec.rated_kw
