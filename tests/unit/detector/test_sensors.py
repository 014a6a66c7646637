import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.messages import MetricInfo
from detector.rows import Floats, Rows
from detector.sensors import SensorBank, Trouble
from detector.signals import SignalFacts

METRICS = ("power_kw", "speed_rpm", "temperature_c", "setpoint_c")
ANNOUNCED = {"temperature_c": MetricInfo(unit="°C", min=-20.0, max=170.0)}


def machine(first_s: int, seconds: int, *, seed: int = 0) -> Rows:
    """Return a machine that runs half of every hour and then stands: power and speed are 0, all at 1 Hz.

    Its thermometer shows half degrees.
    """
    rng = np.random.default_rng(seed + first_s)
    ts_s = np.arange(first_s, first_s + seconds, dtype=float)
    on = ts_s % 3600.0 < 1800.0
    power_kw = on * (20.0 + rng.normal(0.0, 0.5, seconds))
    speed_rpm = on * (1480.0 + rng.normal(0.0, 1.0, seconds))
    temperature_c = np.round(2.0 * (60.0 + 10.0 * np.sin(ts_s / 600.0) + rng.normal(0.0, 0.1, seconds))) / 2.0
    return Rows(METRICS, ts_s, np.column_stack([power_kw, speed_rpm, temperature_c, np.full(seconds, 65.0)]))


FACTS = SignalFacts.learn(machine(0, 7200), ANNOUNCED)


def taken(
    rows: Rows, bank: SensorBank | None = None
) -> tuple[Floats, list[tuple[float, Trouble]], list[bool]]:
    """Push rows through a bank of one: what the model sees, what trouble began when, and trouble by row."""
    bank = bank or SensorBank(len(METRICS))
    slots = np.array([bank.add(FACTS)])
    seen, told, bad = [], [], []
    known: dict[tuple[str, str], float] = {}
    for ts_s, values in zip(rows.ts_s, rows.values, strict=True):
        checked = bank.check(slots, np.array([ts_s]), values[None])
        seen.append(checked.values[0])
        bad.append(bool(checked.trouble[0]))
        troubles = bank.troubles(0)
        assert bool(troubles) == bad[-1]
        told += [(ts_s, one) for one in troubles if known.get((one.metric, one.anomaly_type)) != one.since_s]
        known = {(one.metric, one.anomaly_type): one.since_s for one in troubles}
    return np.array(seen), told, bad


def test_a_machine_without_fault_is_passed_on_as_it_is() -> None:
    rows = machine(7200, 3600)
    seen, told, _ = taken(rows)
    assert told == []
    np.testing.assert_array_equal(seen, rows.values)


@pytest.mark.parametrize(("column", "most_s"), [(0, 90.0), (1, 90.0), (2, 1600.0)])
def test_a_stuck_sensor_is_found_though_others_rest_and_repeat(column: int, most_s: float) -> None:
    rows = machine(7200, 2400)
    rows.values[600:, column] = rows.values[600, column]
    seen, told, _ = taken(rows)
    (at_s, trouble), *others = told
    assert not others
    assert (trouble.metric, trouble.anomaly_type) == (METRICS[column], "stuck_sensor")
    assert trouble.since_s == pytest.approx(7800.0, abs=60.0)
    assert at_s - trouble.since_s <= most_s
    assert trouble.value == rows.values[600, column]
    assert trouble.low <= trouble.expected <= trouble.high
    assert np.isnan(seen[rows.ts_s >= at_s, column]).all()


def test_a_sensor_that_holds_while_its_machine_rests_is_not_called_stuck_then() -> None:
    rows = machine(7200, 5400)
    rows.values[1830:, 1] = 0.0
    _, told, _ = taken(rows)
    ((at_s, trouble),) = told
    assert trouble.metric == "speed_rpm"
    assert 10800.0 < at_s < 10900.0


def test_what_never_moved_in_training_is_never_stuck() -> None:
    seen, told, _ = taken(machine(7200, 3600))
    assert told == []
    assert (seen[:, 3] == 65.0).all()


def test_a_trouble_ends_by_itself_once_the_sensor_has_been_good_for_a_while() -> None:
    rows = machine(7200, 1200)
    rows.values[100:400, 0] = 20.25
    seen, told, bad = taken(rows)
    assert len(told) == 1
    ended = len(bad) - bad[::-1].index(True)
    assert 405 <= ended <= 415
    np.testing.assert_array_equal(seen[ended:], rows.values[ended:])


def test_a_metric_that_stops_coming_is_missing_from_when_it_last_came() -> None:
    rows = machine(7200, 400)
    rows.values[100:, 2] = np.nan
    _, ((at_s, trouble),), _ = taken(rows)
    assert (trouble.metric, trouble.anomaly_type, trouble.since_s) == (
        "temperature_c",
        "missing_data",
        7299.0,
    )
    assert 60.0 < at_s - trouble.since_s <= 62.0
    assert trouble.value == rows.values[99, 2]


def test_a_machine_that_sends_nothing_for_long_misses_no_metric() -> None:
    rows = machine(7200, 2000)
    rows.values[100:103, 2] = np.nan
    _, told, _ = taken(rows.where((np.arange(2000) < 103) | (np.arange(2000) > 1900)))
    assert told == []


@pytest.mark.parametrize("reading", [-300.0, 400.0, -9999.0, 32767.0])
def test_an_impossible_reading_is_masked_at_once_and_told_when_it_stays(reading: float) -> None:
    rows = machine(7200, 300)
    rows.values[[50, 60, 61], 2] = reading
    rows.values[100:200, 2] = reading
    seen, ((at_s, trouble),), bad = taken(rows)
    assert np.isnan(seen[[50, 60, 61], 2]).all()
    assert not any(bad[:100])
    assert (trouble.anomaly_type, trouble.since_s, at_s) == ("out_of_range", 7300.0, 7302.0)
    assert trouble.value == reading
    assert trouble.high < 172.0
    assert not any(bad[220:])


def test_heat_that_creeps_to_a_probes_mark_was_measured_but_a_leap_to_it_was_not() -> None:
    facts = SignalFacts.learn(machine(0, 7200), {})
    bank = SensorBank(len(METRICS))
    slots = np.array([bank.add(facts)])
    row = machine(7200, 1).values
    for at, temperature_c in enumerate([70.0, 71.0, 85.0, 70.0, 850.0, 70.0, *range(71, 851, 13), 850.0]):
        row[0, 2] = temperature_c
        seen = bank.check(slots, np.array([7200.0 + at]), row).values[0, 2]
        assert np.isnan(seen) == (at == 4)


def test_a_row_after_a_gap_or_a_clock_that_jumped_stands_apart() -> None:
    bank = SensorBank(len(METRICS))
    slots = np.array([bank.add(FACTS)])
    row = machine(7200, 1).values
    times_s = [7200.0, 7201.0, 7261.0, 7400.0, 7401.0, 5000.0, 5001.0]
    apart = [bool(bank.check(slots, np.array([ts_s]), row).apart[0]) for ts_s in times_s]
    assert apart == [True, False, False, True, False, True, False]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_many_machines_together_are_as_each_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, seconds = 4, 120
    several = [machine(7200 + 900 * at, seconds, seed=seed) for at in range(count)]
    for rows in several:
        first, metric = rng.integers(0, seconds), rng.integers(0, len(METRICS))
        rows.values[first:, metric] = rng.choice([np.nan, 32767.0, rows.values[first, metric]])
    together = SensorBank(len(METRICS))
    slots = np.array([together.add(FACTS) for _ in several])
    alone = [SensorBank(len(METRICS)) for _ in several]
    for bank in alone:
        bank.add(FACTS)
    for at in range(seconds):
        some = np.flatnonzero(rng.random(count) < 0.9)
        ts_s = np.array([several[one].ts_s[at] for one in some])
        values = np.array([several[one].values[at] for one in some]).reshape(-1, len(METRICS))
        both = together.check(slots[some], ts_s, values)
        for place, one in enumerate(some):
            own = alone[one].check(np.array([0]), ts_s[[place]], values[[place]])
            np.testing.assert_array_equal(own.values[0], both.values[place])
            assert (own.trouble[0], own.apart[0]) == (both.trouble[place], both.apart[place])
            assert alone[one].troubles(0) == together.troubles(int(slots[one]))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_a_past_that_was_shown_is_as_one_that_came(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = machine(7200 + int(rng.integers(0, 3600)), 300, seed=seed)
    rows.values[200:, rng.integers(0, 3)] = rng.choice([np.nan, 20.25])
    rows.values[rng.random(rows.values.shape) < 0.02] = np.nan
    cut = int(rng.integers(1, 250))
    came, shown = SensorBank(len(METRICS)), SensorBank(len(METRICS))
    slots = np.array([came.add(FACTS)])
    shown.add(FACTS)
    shown.warm(0, rows.cut(0, cut))
    for at in range(len(rows)):
        first = came.check(slots, rows.ts_s[[at]], rows.values[[at]])
        if at < cut:
            continue
        second = shown.check(slots, rows.ts_s[[at]], rows.values[[at]])
        np.testing.assert_array_equal(first.values, second.values)
        assert first.apart == second.apart
        assert came.troubles(0) == shown.troubles(0)


def test_a_freed_slot_forgets_and_is_used_again() -> None:
    bank = SensorBank(len(METRICS))
    rows = machine(7200, 300)
    rows.values[:, 0] = 20.25
    _, told, _ = taken(rows, bank)
    assert told
    bank.remove(0)
    assert bank.add(FACTS) == 0
    assert bank.troubles(0) == ()
    assert bank.check(np.array([0]), np.array([9000.0]), machine(9000, 1).values).apart[0]


def test_facts_learnt_anew_leave_what_was_seen() -> None:
    bank = SensorBank(len(METRICS))
    rows = machine(7200, 300)
    rows.values[:, 0] = 20.25
    taken(rows, bank)
    before = bank.troubles(0)
    bank.replace(0, SignalFacts.learn(machine(3600, 7200), ANNOUNCED))
    assert [one.since_s for one in bank.troubles(0)] == [one.since_s for one in before]


def test_a_machine_with_other_metrics_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit a bank of 3"):
        SensorBank(3).add(FACTS)
    bank = SensorBank(len(METRICS))
    bank.add(FACTS)
    rows = machine(0, 10)
    with pytest.raises(ValueError, match="add the machine again"):
        bank.replace(0, SignalFacts.learn(Rows(tuple("abcd"), rows.ts_s, rows.values), {}))
