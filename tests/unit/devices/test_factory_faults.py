from datetime import UTC, datetime, timedelta

import pytest

from devices.factory import Factory, Fault, FaultKind, plant

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def pair() -> tuple[Factory, Factory]:
    return Factory(plant(7), 3, MONDAY), Factory(plant(7), 3, MONDAY)


def test_a_stuck_sensor_repeats_exactly_what_it_showed_last_and_then_lives_again() -> None:
    factory, twin = pair()
    begin = MONDAY + 5 * MINUTE
    factory.inject(Fault("pump-1", FaultKind.STUCK_SENSOR, 0.4, begin, 10 * MINUTE, metric="flow_m3h"))
    stuck, true = [], []
    for number in range(20):
        at = MONDAY + number * MINUTE
        stuck.append(factory.step(at)["pump-1"].numbers)
        true.append(twin.step(at)["pump-1"].numbers)
    held = {row["flow_m3h"] for row in stuck[5:15]}
    assert held == {true[5]["flow_m3h"]}
    assert stuck[:5] == true[:5]
    assert stuck[15:] == true[15:]
    assert [row["power_kw"] for row in stuck] == [row["power_kw"] for row in true], "only the sensor is sick"


def test_a_fault_does_nothing_before_it_starts_and_its_heat_lingers_after_it_ends() -> None:
    factory, twin = pair()
    fault = Fault("motor-1", FaultKind.PHASE_LOSS, 1.0, MONDAY + 10 * MINUTE, 20 * MINUTE)
    factory.inject(fault)
    rows = [
        (factory.step(MONDAY + number * MINUTE)["motor-1"], twin.step(MONDAY + number * MINUTE)["motor-1"])
        for number in range(40)
    ]
    assert all(sick == well for sick, well in rows[:10])
    assert rows[10][0].numbers["current_a"] > 1.5 * rows[10][1].numbers["current_a"]
    sick, well = rows[31]
    assert sick.numbers["current_a"] == well.numbers["current_a"]
    assert sick.numbers["temperature_c"] > well.numbers["temperature_c"] + 2


def test_a_wearing_bearing_gets_worse_by_and_by() -> None:
    fault = Fault("pump-1", FaultKind.BEARING_WEAR, 0.8, MONDAY, timedelta(hours=9))
    growth = [fault.severity_at(MONDAY + number * MINUTE) for number in (-1, 0, 15, 30, 60)]
    assert growth == pytest.approx([0, 0, 0.4, 0.8, 0.8])
    assert fault.severity_at(MONDAY + timedelta(hours=9)) == 0


def test_a_short_fault_reaches_its_severity_in_a_third_of_its_time() -> None:
    fault = Fault("pump-1", FaultKind.FOULING, 0.9, MONDAY, 3 * MINUTE)
    assert fault.severity_at(MONDAY + MINUTE) == pytest.approx(0.9)


def test_clearing_takes_out_one_kind_or_all_and_tells_how_many() -> None:
    factory, twin = pair()
    for kind in (FaultKind.LEAK, FaultKind.FOULING, FaultKind.STUCK_SENSOR):
        factory.inject(Fault("hvac-1", kind, 1.0, MONDAY))
    factory.step(MONDAY)
    assert factory.clear("hvac-1", FaultKind.LEAK) == 1
    assert {fault.kind for fault in factory.faults(MONDAY)} == {FaultKind.FOULING, FaultKind.STUCK_SENSOR}
    assert factory.clear("hvac-1") == 2
    assert factory.clear("hvac-1") == 0
    at = MONDAY + timedelta(hours=12)
    assert factory.step(at)["hvac-1"].numbers == pytest.approx(twin.step(at)["hvac-1"].numbers, rel=1e-3)


def test_what_has_ended_is_listed_no_more_and_what_will_come_is() -> None:
    factory = Factory(plant(7), 3, MONDAY)
    over = Fault("pump-1", FaultKind.LEAK, 1.0, MONDAY, MINUTE)
    coming = Fault("pump-1", FaultKind.FOULING, 1.0, MONDAY + timedelta(hours=5))
    factory.inject(over)
    factory.inject(coming)
    assert factory.faults(MONDAY) == (over, coming)
    assert factory.faults(MONDAY + MINUTE) == (coming,)
    factory.step(MONDAY + timedelta(hours=25))
    assert factory._faults.all == [coming]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            Fault("pump-9", FaultKind.LEAK, 1.0, MONDAY),
            "there is no machine 'pump-9'; there are compressor-1",
        ),
        (
            Fault("oven-1", FaultKind.BEARING_WEAR, 1.0, MONDAY),
            "oven-1 cannot have bearing_wear; it can have",
        ),
        (
            Fault("oven-1", FaultKind.STUCK_SENSOR, 1.0, MONDAY, metric="speed_rpm"),
            "oven-1 has no metric 'speed_rpm'; it has power_kw",
        ),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_what_is_possible(fault: Fault, says: str) -> None:
    factory, _ = pair()
    with pytest.raises(ValueError, match=says):
        factory.inject(fault)
    assert factory.faults(MONDAY) == ()


@pytest.mark.parametrize("severity", [0.0, -0.1, 1.01, float("nan")])
def test_a_severity_is_above_0_and_at_most_1(severity: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        Fault("pump-1", FaultKind.LEAK, severity, MONDAY)


def test_a_duration_is_positive_and_a_start_has_a_zone() -> None:
    with pytest.raises(ValueError, match="duration must be above 0"):
        Fault("pump-1", FaultKind.LEAK, 1.0, MONDAY, timedelta())
    with pytest.raises(ValueError, match="needs a time zone"):
        Fault("pump-1", FaultKind.LEAK, 1.0, MONDAY.replace(tzinfo=None))


def test_a_plant_needs_a_machine() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        plant(0)
