"""What the model of a single channel finds, and where it keeps quiet."""

from datetime import UTC, datetime

import numpy as np
import pytest
from normal_machines import joined

from detector.models.base import TooFewRowsError, WrongModelError
from detector.models.single import SingleModel
from detector.models.single_follow import SingleFollower
from detector.rows import Floats, Rows
from detector.tuning import Tuning

TUNING = Tuning()
START_S = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
FIVE_MIN_S = 300.0
TRAIN = 750


def rows_of(values: Floats, period_s: float = FIVE_MIN_S) -> Rows:
    return Rows(("flow_m3h",), START_S + period_s * np.arange(len(values), dtype=np.float64), values[:, None])


def scores(values: Floats, train: int = TRAIN, period_s: float = FIVE_MIN_S) -> Floats:
    """Learn from the first rows and return the scores of the others."""
    rows = rows_of(values, period_s)
    return SingleModel.learn(rows.cut(0, train), TUNING).score(rows.cut(train))


def daily(count: int, seed: int = 0) -> Floats:
    noise = np.random.default_rng(seed)
    at = np.arange(count, dtype=np.float64)
    return np.asarray(40.0 + 10.0 * np.sin(2.0 * np.pi * at / 288.0) + 0.5 * noise.standard_normal(count))


def learnt() -> SingleModel:
    return SingleModel.learn(rows_of(daily(TRAIN)), TUNING)


@pytest.mark.parametrize("kind", ["normal", "uniform", "poisson", "drift", "daily"])
def test_two_weeks_of_noise_drift_or_days_raise_no_alarm(kind: str) -> None:
    noise, count = np.random.default_rng(7), TRAIN + 14 * 288
    values = {
        "normal": noise.standard_normal(count),
        "uniform": noise.random(count),
        "poisson": noise.poisson(3.0, count).astype(np.float64),
        "drift": noise.standard_normal(count) + 3.0 * np.arange(count) / 2016.0,
        "daily": daily(count),
    }[kind]
    assert int((scores(values) >= 1.0).sum()) == 0


def test_heavy_tailed_noise_raises_an_alarm_or_two_a_week_at_most() -> None:
    values = np.random.default_rng(8).standard_t(3, TRAIN + 14 * 288)
    assert int((scores(values) >= 1.0).sum()) <= 4


def test_a_spike_is_told_at_its_row_and_once() -> None:
    values = daily(TRAIN + 300)
    values[TRAIN + 100] += 40.0
    alarms = np.flatnonzero(scores(values) >= 1.0)
    assert alarms.tolist() == [100]


def test_a_stretch_unlike_any_other_is_told_though_its_values_are_usual() -> None:
    values = daily(TRAIN + 576)
    values[TRAIN + 290 : TRAIN + 330] = 40.0 + 7.0 * np.sign(np.sin(np.arange(40.0)))
    alarms = np.flatnonzero(scores(values) >= 1.0)
    assert 1 <= len(alarms) <= 2
    assert 290 <= alarms[0] < 330


def test_after_a_surprise_only_a_greater_one_is_told() -> None:
    def told(second: float) -> list[int]:
        values = daily(TRAIN + 300)
        values[TRAIN + 100] += 25.0
        values[TRAIN + 170] += second
        return [int(at) for at in np.flatnonzero(scores(values) >= 1.0)]

    assert told(25.0) == [100]
    assert told(1e5) == [100, 170]


def test_a_new_level_is_usual_after_a_while() -> None:
    values = daily(TRAIN + 5 * 288)
    values[TRAIN + 100 :] += 60.0
    alarms = np.flatnonzero(scores(values) >= 1.0)
    assert alarms[0] == 100
    assert (alarms < 100 + 2 * 288).all()


def test_a_fast_channel_is_averaged_to_steps_and_tells_a_step_once() -> None:
    period_s, rows_a_step = 10.0, 30
    noise = np.random.default_rng(9)
    values = 5.0 + noise.standard_normal(200 * rows_a_step)
    values[150 * rows_a_step : 152 * rows_a_step] += 20.0
    found = scores(values, 120 * rows_a_step, period_s)
    alarms = np.flatnonzero(found >= 1.0)
    assert alarms.tolist() == [31 * rows_a_step - 1]
    assert len(np.unique(found[: 30 * rows_a_step])) <= 32


def test_an_explanation_says_what_was_expected_and_of_which_type_it_is() -> None:
    follower = learnt().follow()
    values = daily(TRAIN + 60)
    values[TRAIN + 50] += 40.0
    for ts_s, row in zip(rows_of(values).ts_s[TRAIN:], values[TRAIN:], strict=True):
        score = follower.take(float(ts_s), np.array([row]))
        if score >= 1.0:
            break
    told = follower.explain()
    (view,) = told.views
    assert told.cause == "spike"
    assert view.brief
    assert (view.metric, view.value, view.share) == ("flow_m3h", values[TRAIN + 50], 1.0)
    assert view.score == pytest.approx(score)
    assert abs(view.expected - daily(TRAIN + 60)[TRAIN + 50]) < 5.0
    assert view.low < view.expected < view.high < view.value


def test_a_shift_that_stays_is_explained_as_one() -> None:
    follower = learnt().follow()
    values = daily(TRAIN + 60)
    values[TRAIN + 40 :] += 40.0
    for ts_s, row in zip(rows_of(values).ts_s[TRAIN:], values[TRAIN:], strict=True):
        follower.take(float(ts_s), np.array([row]))
    told = follower.explain()
    assert told.cause == "level_shift"
    assert told.views[0].window_value > told.views[0].window_high > told.views[0].window_expected


def test_what_it_learns_after_training_goes_on_through_a_refit() -> None:
    rows = rows_of(daily(TRAIN + 600))
    older, newer = learnt(), SingleModel.learn(rows.cut(300, TRAIN + 300), TUNING)
    wanted = older.score(rows.cut(TRAIN))[400:]
    follower = older.follow()
    for ts_s, row in zip(rows.ts_s[TRAIN : TRAIN + 400], rows.values[TRAIN : TRAIN + 400], strict=True):
        follower.take(float(ts_s), row)
    follower = newer.follow(follower)
    later = rows.cut(TRAIN + 400)
    found = [follower.take(float(ts_s), row) for ts_s, row in zip(later.ts_s, later.values, strict=True)]
    np.testing.assert_array_equal(found, wanted)


def test_a_channel_that_never_moved_is_strange_once_it_moves() -> None:
    values = np.full(TRAIN + 100, 7.0)
    values[TRAIN + 50 :] = 7.5
    assert np.flatnonzero(scores(values) >= 1.0).tolist() == [50]


def test_a_missing_value_says_nothing_and_changes_nothing() -> None:
    rows = rows_of(daily(TRAIN + 100)).cut(TRAIN)
    without = rows.values.copy()
    without[::7] = np.nan
    there = np.isfinite(without[:, 0])
    found = learnt().score(Rows(rows.metrics, rows.ts_s, without))
    assert np.isnan(found[~there]).all()
    np.testing.assert_array_equal(found[there], learnt().score(rows.where(there)))


def test_a_gap_of_days_is_no_surprise() -> None:
    values = daily(TRAIN + 3 * 288 + 400)
    rows = rows_of(values)
    model = SingleModel.learn(rows.cut(0, TRAIN), TUNING)
    seen = joined(rows.cut(TRAIN, TRAIN + 100), rows.cut(TRAIN + 100 + 3 * 288))
    assert np.nanmax(model.score(seen)) < 1.0


def test_few_rows_are_refused_and_told_how_many_it_takes() -> None:
    least = TUNING.single.steps_least
    with pytest.raises(TooFewRowsError, match=f"takes {least}"):
        SingleModel.learn(rows_of(daily(least - 1)), TUNING)
    assert np.isfinite(SingleModel.learn(rows_of(daily(least)), TUNING).score(rows_of(daily(least + 1)))[-1])


def test_it_keeps_a_bounded_memory() -> None:
    model = learnt()
    follower = model.follow()
    assert isinstance(follower, SingleFollower)
    before = follower.memory_bytes
    for ts_s, value in zip(rows_of(daily(4000)).ts_s + 1e7, daily(4000, 3), strict=True):
        follower.take(float(ts_s), np.array([value]))
    assert follower.memory_bytes == before
    assert before < 40_000


def test_a_stored_setting_of_another_version_is_refused() -> None:
    arrays, facts = learnt().pack()
    setting = facts["setting"]
    assert isinstance(setting, dict)
    with pytest.raises(WrongModelError, match="train again"):
        SingleModel.unpack(arrays, {**facts, "setting": {**setting, "unheard_of": 1}})
