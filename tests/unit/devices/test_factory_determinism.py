from datetime import UTC, datetime, timedelta

import pytest

from devices.factory import Factory, Fault, FaultKind, Row, plant

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def rows_of(factory: Factory, *times: datetime) -> list[dict[str, Row]]:
    return [factory.step(at) for at in times]


def minutes(count: int, start: datetime = MONDAY) -> list[datetime]:
    return [start + timedelta(minutes=number) for number in range(count)]


def test_two_factories_with_the_same_seed_and_start_agree_exactly() -> None:
    faults = [
        Fault("pump-1", FaultKind.BEARING_WEAR, 0.7, MONDAY + timedelta(hours=7), timedelta(hours=2)),
        Fault("oven-1", FaultKind.STUCK_SENSOR, 1.0, MONDAY + timedelta(hours=8)),
    ]
    runs = []
    for _ in range(2):
        factory = Factory(plant(), 5, MONDAY)
        for fault in faults:
            factory.inject(fault)
        runs.append(rows_of(factory, *minutes(10 * 60)))
    assert runs[0] == runs[1]


def test_another_seed_gives_other_readings() -> None:
    first, second = (Factory(plant(), seed, MONDAY).step(MONDAY + timedelta(hours=8)) for seed in (1, 2))
    assert first["pump-1"].numbers["flow_m3h"] != second["pump-1"].numbers["flow_m3h"]


def test_a_reading_does_not_depend_on_how_often_somebody_looked_before() -> None:
    at = MONDAY + timedelta(hours=6, minutes=42, seconds=17)
    fault = Fault("oven-1", FaultKind.STUCK_SENSOR, 1.0, at - timedelta(minutes=7, seconds=3))
    seldom, often = Factory(plant(), 5, MONDAY), Factory(plant(), 5, MONDAY)
    for factory in (seldom, often):
        factory.inject(fault)
    for second in range(0, 42 * 60, 5):
        often.step(MONDAY + timedelta(hours=6, seconds=second))
    assert seldom.step(at) == often.step(at)


def test_a_machine_reads_the_same_in_a_plant_of_any_size() -> None:
    at = MONDAY + timedelta(hours=9)
    small, large = Factory(plant(7), 5, MONDAY).step(at), Factory(plant(100), 5, MONDAY).step(at)
    assert len(large) == 100
    for name, row in small.items():
        assert row.numbers == pytest.approx(large[name].numbers, abs=2e-4), name


def test_sensor_noise_is_new_each_second() -> None:
    factory = Factory(plant(), 5, MONDAY)
    seen = [
        factory.step(MONDAY + timedelta(hours=8, seconds=number))["pump-1"].numbers["speed_rpm"]
        for number in range(30)
    ]
    assert len(set(seen)) == 30


def test_the_factory_cannot_go_back() -> None:
    factory = Factory(plant(), 5, MONDAY)
    factory.step(MONDAY + timedelta(hours=1))
    with pytest.raises(ValueError, match="cannot go back"):
        factory.step(MONDAY)


def test_a_start_within_a_minute_can_be_asked_at_once() -> None:
    start = MONDAY + timedelta(seconds=31.5)
    rows = Factory(plant(), 5, start).step(start)
    assert {row.ts for row in rows.values()} == {start}
