"""The sensors of the simulated factory: one machine of every kind, a row every two minutes."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pytest

from detector.rows import Rows
from detector.sensors import SensorBank, Trouble
from detector.signals import SignalFacts
from devices.factory import Factory, Fault, FaultKind, plant

PERIOD = timedelta(minutes=2)
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
TRAINED = timedelta(days=1)
PLANT = plant(7)
HELD_FROM = MONDAY + TRAINED + timedelta(hours=9)
FOUND_WITHIN = 11 * PERIOD
COUNTED = "production_count"
"""Whole pieces a minute stay the same for long by nature: nobody can tell them from stuck ones."""


def rows_of(first: datetime, lasting: timedelta, faults: Iterable[Fault] = ()) -> dict[str, Rows]:
    """Return what the machines send from `first` on."""
    factory = Factory(PLANT, 3, first)
    for fault in faults:
        factory.inject(fault)
    times = [first + at * PERIOD for at in range(lasting // PERIOD)]
    steps = [factory.step(at) for at in times]
    ts_s = np.array([at.timestamp() for at in times])
    return {
        spec.name: Rows(
            tuple(spec.kind.metrics),
            ts_s,
            np.array([list(step[spec.name].numbers.values()) for step in steps]),
        )
        for spec in PLANT
    }


@cache
def facts() -> dict[str, SignalFacts]:
    """Return what a working day teaches."""
    learnt = rows_of(MONDAY, TRAINED)
    return {spec.name: SignalFacts.learn(learnt[spec.name], spec.announce().metrics) for spec in PLANT}


def troubles(machine: str, rows: Rows) -> dict[Trouble, float]:
    """Return every trouble of a machine with the time at which it was told."""
    bank = SensorBank(len(rows.metrics))
    slots = np.array([bank.add(facts()[machine])])
    told: dict[Trouble, float] = {}
    for ts_s, values in zip(rows.ts_s, rows.values, strict=True):
        if bank.check(slots, np.array([ts_s]), values[None]).trouble[0]:
            for trouble in bank.troubles(0):
                told.setdefault(trouble, float(ts_s))
    return told


def test_no_sensor_of_a_sound_factory_is_in_trouble_by_day_or_night() -> None:
    sound = rows_of(MONDAY + TRAINED, timedelta(days=1))
    assert {name: found for name, rows in sound.items() if (found := troubles(name, rows))} == {}


def test_no_metric_of_the_factory_is_taken_for_a_counter() -> None:
    assert not any(one.counters for one in facts().values())


@pytest.mark.parametrize("column", range(7))
def test_a_stuck_sensor_is_found_on_every_kind_of_machine(column: int) -> None:
    held = {
        spec.name: metric
        for spec in PLANT
        if column < len(spec.kind.metrics) and (metric := list(spec.kind.metrics)[column]) != COUNTED
    }
    faults = [
        Fault(name, FaultKind.STUCK_SENSOR, 1.0, HELD_FROM, None, metric) for name, metric in held.items()
    ]
    rows = rows_of(HELD_FROM - timedelta(minutes=20), timedelta(hours=1), faults)
    for name, metric in held.items():
        ((trouble, at_s),) = troubles(name, rows[name]).items()
        assert (trouble.metric, trouble.anomaly_type) == (metric, "stuck_sensor")
        assert abs(trouble.since_s - HELD_FROM.timestamp()) <= PERIOD.total_seconds()
        assert at_s - HELD_FROM.timestamp() <= FOUND_WITHIN.total_seconds()


@pytest.mark.parametrize("kind", [FaultKind.STANDBY_WASTE, FaultKind.PHASE_LOSS, FaultKind.FOULING])
def test_a_fault_of_the_machine_is_not_put_down_to_its_sensors(kind: FaultKind) -> None:
    begun = MONDAY + TRAINED + timedelta(hours=4)
    faults = [Fault(spec.name, kind, 1.0, begun) for spec in PLANT if kind in spec.kind.faults]
    rows = rows_of(begun, timedelta(hours=6), faults)
    assert {name: found for name in rows if (found := troubles(name, rows[name]))} == {}
