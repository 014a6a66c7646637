"""The simulated factory as a measure of the detector: its plan, its twins, its judgement, a short run."""

import asyncio
from datetime import datetime, timedelta

import numpy as np
from rich.progress import Progress

from devices.factory import Fault, FaultKind, plant
from enms.bench.factory import MONDAY, Asked, factory
from enms.bench.factory_days import live_through, moved_metrics
from enms.bench.factory_match import LATE, RECOVERS, judge, unrelated
from enms.bench.factory_plan import week_of_faults
from enms.bench.factory_watch import Found

HOUR = timedelta(hours=1)
FAULT = Fault("motor-1", FaultKind.PHASE_LOSS, 0.6, MONDAY + HOUR, 2 * HOUR)


def found(opened: datetime, machine: str = "motor-1", *metrics: str) -> Found:
    at_s = opened.timestamp()
    return Found(machine, at_s, at_s, at_s, "level_shift", "warning", "running", metrics)


def test_a_week_has_each_fault_a_machine_can_have_once_and_never_two_at_a_time() -> None:
    specs = plant(14)
    faults = week_of_faults(specs, MONDAY)
    for spec in specs:
        own = sorted((one for one in faults if one.machine == spec.name), key=lambda one: one.start)
        assert {one.kind for one in own} == spec.kind.faults
        assert len(own) == len(spec.kind.faults)
        ends = [one.end for one in own if one.end is not None]
        assert all(end + RECOVERS < later.start for end, later in zip(ends, own[1:], strict=False))
        assert max(ends) <= MONDAY + timedelta(days=7)


def test_only_a_metric_that_the_fault_moves_is_moved() -> None:
    specs = tuple(spec for spec in plant(7) if spec.name == "motor-1")
    worn = Fault("motor-1", FaultKind.BEARING_WEAR, 0.6, MONDAY + 10 * HOUR, 5 * HOUR)
    span = (MONDAY, MONDAY + 16 * HOUR, timedelta(minutes=2))
    faulty = live_through(specs, 3, *span, [worn])["motor-1"]
    clean = live_through(specs, 3, *span)["motor-1"]
    noise = np.std(np.diff(clean.rows.values, axis=0), axis=0)
    assert moved_metrics(worn, faulty, clean, noise)[0] == "vibration_mm_s"
    before = faulty.between(MONDAY, worn.start).rows.values
    np.testing.assert_array_equal(before, clean.between(MONDAY, worn.start).rows.values)


def test_a_fault_is_found_by_what_opens_on_its_machine_while_it_is_there_or_soon_after() -> None:
    end = FAULT.start + 2 * HOUR
    early, other = found(FAULT.start - HOUR / 60), found(FAULT.start + HOUR, "motor-2")
    assert judge(FAULT, [early, other], ("current_a",)).found is None
    assert judge(FAULT, [found(end + LATE + HOUR / 60)], ()).found is None
    hit = found(FAULT.start + HOUR / 4, "motor-1", "speed_rpm", "current_a")
    judged = judge(FAULT, [found(end), hit], ("current_a",))
    assert judged.found == hit
    assert (judged.delay_min, judged.episodes) == (15.0, 2)
    assert (judged.top_is_right, judged.named) == (False, True)


def test_an_after_effect_is_neither_found_nor_false() -> None:
    after = found(FAULT.start + 2 * HOUR + RECOVERS)
    false = found(FAULT.start + 2 * HOUR + RECOVERS + HOUR)
    assert unrelated([after, false], [FAULT]) == [false]


def test_the_detector_finds_what_is_put_into_two_machines_for_a_day() -> None:
    asked = Asked(machines=2, days=0.75, train_days=3.0, step_s=300.0)
    with Progress(disable=True) as bars:
        report = asyncio.run(factory(asked, bars))
    figures = {one.what: one.figure for one in report.results}
    assert (figures["faults"], figures["faults_found"]) == (1, 1.0)
    assert figures["false_episodes"] <= 1
    assert figures["held_share"] < 0.2
