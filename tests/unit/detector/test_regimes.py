"""A machine that works and rests: each state by itself, and little said while it changes over."""

import numpy as np
import pytest

from detector.config import Tuning
from detector.models import RegimesModel, ResidualModel, WrongModelError, learn_best
from detector.models.regimes_learning import HELD, OLD_S
from detector.models.residual_stack import ResidualStack
from detector.models.splitting import ages_s, regimes_of, split, stays_of, switches_of
from detector.rows import Rows

TUNING = Tuning()
METRICS = ("current_a", "power_kw", "temperature_c")
SHIFT = 300


def shifts(count: int = 6000, seed: int = 0) -> Rows:
    """Five hours of work and five of rest in turn, a row a minute; it warms up and cools over 20 minutes."""
    noise = np.random.default_rng(seed)
    works = np.arange(count) // SHIFT % 2 == 0
    load = works * (1.0 + 0.05 * np.sin(np.arange(count) / 31.0))
    warm = np.empty(count)
    warm[0] = 60.0
    for at in range(1, count):
        warm[at] = warm[at - 1] + (20.0 + 40.0 * load[at] - warm[at - 1]) / 7.0
    power = 1.0 + 50.0 * load + 0.2 * noise.standard_normal(count)
    current = 1.9 * power + 0.3 * noise.standard_normal(count)
    measured = [current, power, warm + 0.2 * noise.standard_normal(count)]
    return Rows(METRICS, 60.0 * np.arange(count), np.stack(measured, axis=1))


def with_added(rows: Rows, first: int, last: int, column: int, by: float) -> Rows:
    values = rows.values.copy()
    values[first:last, column] += by
    return Rows(rows.metrics, rows.ts_s, values)


@pytest.fixture(scope="module")
def model() -> RegimesModel:
    learnt = learn_best(shifts(), TUNING)
    assert isinstance(learnt, RegimesModel)
    return learnt


def test_power_is_split_between_its_modes() -> None:
    noise = np.random.default_rng(3)
    drawn = np.concatenate(
        [0.2 + 0.05 * noise.random(900), 12.0 + noise.random(300), 50 + 5 * noise.random(900)]
    )
    edges_kw = split(drawn)
    assert len(edges_kw) == 2
    assert 0.25 < edges_kw[0] < 12.0
    assert 13.0 < edges_kw[1] < 50.0


@pytest.mark.parametrize("seed", range(3))
def test_power_with_one_mode_is_not_split(seed: int) -> None:
    noise = np.random.default_rng(seed)
    assert not len(split(30.0 + noise.standard_normal(5000)))
    assert not len(split(np.full(5000, 7.0)))
    assert not len(split(100.0 * noise.random(5000)))
    assert not len(split(np.full(5000, np.nan)))


def test_a_row_without_a_value_is_in_the_mode_before_it_and_in_the_highest_at_first() -> None:
    nan = np.nan
    values = np.array([nan, 1.0, nan, 9.0, nan])
    assert regimes_of(values, np.array([5.0])).tolist() == [1, 0, 0, 1, 1]


def test_a_stay_ends_with_a_change_and_with_a_hole() -> None:
    ts_s = np.array([0.0, 10.0, 20.0, 30.0, 500.0, 510.0])
    stays = stays_of(ts_s, np.array([0, 0, 1, 1, 1, 1]), 100.0)
    assert stays.tolist() == [0, 0, 1, 1, 2, 2]
    assert ages_s(ts_s, stays, begun=False).tolist() == [0.0, 10.0, 0.0, 10.0, 0.0, 10.0]
    assert ages_s(ts_s, stays, begun=True).tolist()[:2] == [np.inf, np.inf]


def test_the_switch_is_what_changes_at_once_and_not_what_warms_up() -> None:
    assert [METRICS[column] for column in switches_of(shifts()).columns] == ["power_kw"]


def test_two_switches_tell_apart_what_draws_the_same_power() -> None:
    rows = shifts()
    turns = np.arange(len(rows)) // 150 % 2 * 100.0 + np.random.default_rng(8).standard_normal(len(rows))
    more = Rows((*METRICS, "speed_rpm"), rows.ts_s, np.column_stack([rows.values, turns]))
    switches = switches_of(more)
    assert {more.metrics[column] for column in switches.columns} == {"power_kw", "speed_rpm"}
    assert len(np.unique(switches.codes(more.values))) == 4


def test_each_regime_has_a_young_and_an_old_part(model: RegimesModel) -> None:
    assert len(model.regimes) == 2
    for regime in model.regimes:
        assert regime.young is not None
        assert regime.old is not None
        assert model.span_s <= regime.hold_s <= 600.0


def test_a_change_over_is_held_for_minutes_and_the_rest_is_normal(model: RegimesModel) -> None:
    scores = model.score(shifts(seed=1))
    hold = int(model.regimes[0].hold_s / 60.0)
    assert np.isnan(scores[SHIFT : SHIFT + hold]).all()
    assert np.isfinite(scores[SHIFT + hold : 2 * SHIFT]).all()
    assert np.nanmax(scores) < 1.0


def test_what_has_just_started_is_judged_loosely_and_later_strictly(model: RegimesModel) -> None:
    rows, column = shifts(seed=2), METRICS.index("temperature_c")
    start = 2 * SHIFT
    cold = rows.values.copy()
    old = start + int(OLD_S / 60.0)
    cold[start:, column] -= 4.0
    scores = model.score(Rows(METRICS, rows.ts_s, cold))
    assert np.nanmedian(scores[old + 5 : start + SHIFT]) > 1.0
    assert np.nanmedian(scores[start + 11 : old]) < np.nanmedian(scores[old + 5 : start + SHIFT])


def test_a_state_never_seen_is_judged_as_the_nearest_and_found(model: RegimesModel) -> None:
    assert HELD not in model.of_code[:1]
    between = with_added(shifts(seed=3), 450, 560, METRICS.index("power_kw"), 15.0)
    assert np.nanmin(model.score(between)[465:560]) > 1.0


def test_a_fault_hidden_by_the_change_overs_of_the_whole_is_found_in_its_regime(model: RegimesModel) -> None:
    faulty = with_added(shifts(seed=2), 720, 800, METRICS.index("temperature_c"), 5.0)
    assert np.nanmax(model.whole.score(faulty)[720:800]) < 1.0
    assert np.nanmedian(model.score(faulty)[730:800]) > 1.0


def test_what_is_expected_is_right_for_the_regime(model: RegimesModel) -> None:
    rows = shifts(seed=4)
    for last, expected_kw in ((590, 1.0), (890, 51.0)):
        views = {view.metric: view for view in model.explain(rows.cut(0, last)).views}
        assert views["power_kw"].expected == pytest.approx(expected_kw, abs=5.0)


def test_a_packed_model_of_several_regimes_scores_as_before(model: RegimesModel) -> None:
    arrays, facts = model.pack()
    again = RegimesModel.unpack(arrays, facts)
    np.testing.assert_array_equal(again.score(shifts(seed=5)), model.score(shifts(seed=5)))
    assert again.features == model.features
    with pytest.raises(WrongModelError, match="train again"):
        RegimesModel.unpack({**arrays, "of_code": np.zeros(5)}, facts)


@pytest.mark.parametrize("column", range(3))
def test_a_metric_that_vanishes_is_no_anomaly(model: RegimesModel, column: int) -> None:
    rows = shifts(seed=6)
    values = rows.values.copy()
    values[1400:, column] = np.nan
    scores = model.score(Rows(rows.metrics, rows.ts_s, values).cut(1300, 1480))
    assert np.nanmax(scores) < 1.0


def test_a_machine_without_states_or_with_a_short_past_gets_the_plain_model() -> None:
    rows = shifts()
    steady = Rows(METRICS, rows.ts_s[:SHIFT], rows.values[:SHIFT])
    assert type(learn_best(steady, TUNING)) is ResidualModel
    quick = Rows(METRICS, rows.ts_s / 60.0, rows.values)
    assert type(learn_best(quick, TUNING)) is ResidualModel


def test_states_are_found_where_there_is_no_power() -> None:
    rows = shifts()
    renamed = Rows(("current_a", "torque_nm", "temperature_c"), rows.ts_s, rows.values)
    assert type(learn_best(renamed, TUNING)) is RegimesModel


def test_a_follower_scores_as_the_model_does_over_change_overs_and_gaps(model: RegimesModel) -> None:
    rows = shifts(1300, seed=7)
    values = rows.values.copy()
    values[700:705, METRICS.index("power_kw")] = np.nan
    rows = Rows(METRICS, rows.ts_s, values)
    follower = model.follow()
    taken = np.array([follower.take(float(ts_s), row) for ts_s, row in zip(rows.ts_s, values, strict=True)])
    np.testing.assert_allclose(taken, model.score(rows), rtol=1e-9)


def test_a_refit_forgets_no_change_over(model: RegimesModel) -> None:
    rows, follower = shifts(seed=9), model.follow()
    for at in range(SHIFT + 2):
        follower.take(float(rows.ts_s[at]), rows.values[at])
    assert follower.held
    again = model.follow(follower)
    assert np.isnan(again.take(float(rows.ts_s[SHIFT + 2]), rows.values[SHIFT + 2]))
    assert again.held


def test_a_machine_that_says_nothing_is_off_starts_and_runs_in_stack_and_follower_alike(
    model: RegimesModel,
) -> None:
    rows, follower, stack = shifts(3 * SHIFT, seed=10), model.follow(), ResidualStack(len(METRICS))
    slot = stack.add(model, rows.cut(0, 0))
    states = []
    for ts_s, values in zip(rows.ts_s, rows.values, strict=True):
        follower.take(float(ts_s), values)
        stack.push(np.array([slot]), np.array([ts_s]), values[None, :])
        states.append(follower.state)
        assert stack.state(slot) == follower.state
    assert [state for at, state in enumerate(states) if at == 0 or state != states[at - 1]] == [
        "running",
        "off",
        "startup",
        "running",
    ]
    assert states[2 * SHIFT] == "startup"
