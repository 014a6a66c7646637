import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.messages import MetricInfo
from detector.rows import Floats, Rows
from detector.sensors import SensorBank
from detector.signals import SignalFacts, WrongFactsError

METRICS = ("energy_kwh", "power_kw", "temperature_c")


def rows_from(seed: int, count: int = 400) -> Rows:
    """Return a machine with a meter that is reset, power, and a temperature that is missing at times."""
    rng = np.random.default_rng(seed)
    power_kw = 30.0 + rng.normal(0.0, 1.0, count)
    energy_kwh = np.floor(np.cumsum(power_kw / 3600.0) / 0.01) * 0.01 % (0.4 * count / 36.0)
    temperature_c = np.where(rng.random(count) < 0.03, np.nan, 60.0 + rng.normal(0.0, 0.5, count))
    ts_s = np.cumsum(np.where(rng.random(count) < 0.01, 100.0, 1.0))
    return Rows(METRICS, ts_s, np.column_stack([energy_kwh, power_kw, temperature_c]))


def live(facts: SignalFacts, rows: Rows) -> Floats:
    """Return what the rows are one after the other, in a bank of one."""
    bank = SensorBank(len(facts.metrics))
    slots = np.array([bank.add(facts)])
    taken = [
        bank.check(slots, np.array([ts_s]), values[None])
        for ts_s, values in zip(rows.ts_s, rows.values, strict=True)
    ]
    assert not any(one.trouble.any() for one in taken)
    return np.concatenate([one.values for one in taken])


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000))
def test_what_is_learnt_from_is_what_comes_live(seed: int) -> None:
    rows = rows_from(seed)
    rows.values[100, 1] = -9999.0
    facts = SignalFacts.learn(rows, {})
    assert facts.counters.keys() == {0}
    np.testing.assert_array_equal(facts.signals(rows).values, live(facts, rows))


def test_a_counter_is_a_rate_and_the_rest_stays_as_it_is() -> None:
    rows = rows_from(1)
    facts = SignalFacts.learn(rows, {})
    before = rows.values.copy()
    signals = facts.signals(rows)
    np.testing.assert_array_equal(rows.values, before)
    np.testing.assert_array_equal(signals.values[:, 1:], rows.values[:, 1:])
    assert np.nanmean(signals.values[:, 0]) == pytest.approx(30.0, rel=0.05)


def test_without_counters_and_impossible_readings_rows_are_passed_on_uncopied() -> None:
    rows = rows_from(1).of(METRICS[1:])
    assert SignalFacts.learn(rows, {}).signals(rows) is rows


def test_facts_survive_being_stored() -> None:
    rows = rows_from(2)
    facts = SignalFacts.learn(rows, {"power_kw": MetricInfo(unit="kW", min=0.0, max=90.0)})
    arrays, sheet = facts.pack()
    stored = io.BytesIO()
    np.savez(stored, **arrays)  # type: ignore[arg-type]
    stored.seek(0)
    with np.load(stored, allow_pickle=False) as found:
        again = SignalFacts.unpack(dict(found), json.loads(json.dumps(sheet)))
    assert again.counters == facts.counters
    assert again.metrics == facts.metrics
    assert again.limit_high[1] == facts.limit_high[1] > 90.0
    np.testing.assert_array_equal(again.signals(rows).values, facts.signals(rows).values)
    repacked = again.pack()
    assert repacked[1] == sheet
    for name, array in arrays.items():
        np.testing.assert_array_equal(repacked[0][name], array)


def test_facts_of_another_shape_are_refused_and_the_way_out_is_said() -> None:
    arrays, sheet = SignalFacts.learn(rows_from(2), {}).pack()
    with pytest.raises(WrongFactsError, match="median of the signals is None"):
        SignalFacts.unpack({name: one for name, one in arrays.items() if name != "median"}, sheet)
    with pytest.raises(WrongFactsError, match=r"not \(1,\)"):
        SignalFacts.unpack(arrays, {**sheet, "metrics": ["one"]})
    with pytest.raises(WrongFactsError, match="no metrics"):
        SignalFacts.unpack(arrays, {})


def test_an_announced_limit_that_training_passed_is_not_believed() -> None:
    rows = rows_from(3)
    announced = {
        "power_kw": MetricInfo(unit="kW", min=0.0, max=20.0),
        "temperature_c": MetricInfo(unit="°C", min=0.0, max=90.0),
    }
    facts = SignalFacts.learn(rows, announced)
    assert facts.limit_high[1] == np.inf
    assert 90.0 <= facts.limit_high[2] < 92.0
    assert facts.signals(rows).values[:, 1] == pytest.approx(rows.values[:, 1])


def test_nothing_at_all_can_be_learnt_from() -> None:
    facts = SignalFacts.learn(Rows(("a", "b"), np.empty(0), np.empty((0, 2))), {})
    row = Rows(("a", "b"), np.array([1.0]), np.array([[1.0, np.nan]]))
    np.testing.assert_array_equal(facts.signals(row).values, row.values)
    np.testing.assert_array_equal(live(facts, row), row.values)
