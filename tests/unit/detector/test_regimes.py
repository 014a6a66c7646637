"""A machine that works and rests: each regime by itself, and nothing said while it changes over."""

import numpy as np
import pytest

from detector.models import RegimesModel, ResidualModel, WrongModelError, learn_best
from detector.models.splitting import regimes_of, split_kw, steady_s
from detector.rows import Rows
from detector.tuning import Tuning

TUNING = Tuning()
METRICS = ("current_a", "power_kw", "temperature_c")
SHIFT = 300


def shifts(count: int = 3600, seed: int = 0) -> Rows:
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
    edges_kw = split_kw(drawn)
    assert len(edges_kw) == 2
    assert 0.25 < edges_kw[0] < 12.0
    assert 13.0 < edges_kw[1] < 50.0


@pytest.mark.parametrize("seed", range(3))
def test_power_with_one_mode_is_not_split(seed: int) -> None:
    noise = np.random.default_rng(seed)
    assert not len(split_kw(30.0 + noise.standard_normal(5000)))
    assert not len(split_kw(np.full(5000, 7.0)))
    assert not len(split_kw(100.0 * noise.random(5000)))
    assert not len(split_kw(np.full(5000, np.nan)))


def test_a_row_without_power_is_in_the_regime_before_it() -> None:
    nan = np.nan
    powers_kw = np.array([nan, 1.0, nan, 9.0, nan])
    assert regimes_of(powers_kw, np.array([5.0])).tolist() == [0, 0, 0, 1, 1]


def test_steady_time_begins_anew_at_a_change_and_at_a_hole() -> None:
    ts_s = np.array([0.0, 10.0, 20.0, 30.0, 500.0, 510.0])
    regimes = np.array([0, 0, 1, 1, 1, 1])
    assert steady_s(ts_s, regimes, 100.0, begun=False).tolist() == [0.0, 10.0, 0.0, 10.0, 0.0, 10.0]
    assert steady_s(ts_s, regimes, 100.0, begun=True).tolist()[:2] == [np.inf, np.inf]


def test_each_regime_has_its_own_threshold_and_settles_in_its_own_time(model: RegimesModel) -> None:
    assert [part is not None for part in model.parts] == [True, True]
    assert 1.5 < float(model.edges_kw[0]) < 45.0
    assert all(300.0 <= settle <= 3600.0 for settle in model.settle_s)


def test_a_change_over_is_not_judged_and_the_rest_is_normal(model: RegimesModel) -> None:
    scores = model.score(shifts(seed=1))
    assert np.isnan(scores[SHIFT : SHIFT + 5]).all()
    settled = int(model.settle_s.max() / 60.0)
    assert np.isfinite(scores[SHIFT + settled + 1 : 2 * SHIFT]).all()
    assert np.nanmax(scores) < 1.0


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
        RegimesModel.unpack({**arrays, "settle_s": np.zeros(5)}, facts)


@pytest.mark.parametrize("column", range(3))
def test_a_metric_that_vanishes_is_no_anomaly(model: RegimesModel, column: int) -> None:
    rows = shifts(seed=6)
    values = rows.values.copy()
    values[1400:, column] = np.nan
    scores = model.score(Rows(rows.metrics, rows.ts_s, values).cut(1300, 1480))
    assert np.nanmax(scores) < 1.0


def test_a_machine_without_regimes_or_without_power_gets_the_plain_model() -> None:
    rows = shifts()
    renamed = Rows(("current_a", "torque_nm", "temperature_c"), rows.ts_s, rows.values)
    assert type(learn_best(renamed, TUNING)) is ResidualModel
    steady = Rows(METRICS, rows.ts_s[:SHIFT], rows.values[:SHIFT])
    assert type(learn_best(steady, TUNING)) is ResidualModel


def test_a_follower_holds_for_as_long_as_the_regime_needs_though_its_window_is_shorter(
    model: RegimesModel,
) -> None:
    follower, rows = model.follow(), shifts(seed=7)
    scores, held = [], []
    for at in range(2 * SHIFT):
        scores.append(follower.take(float(rows.ts_s[at]), rows.values[at]))
        held.append(follower.held)
    holding = [at for at in range(SHIFT, 2 * SHIFT) if held[at]]
    assert holding[0] == SHIFT
    assert holding[-1] == SHIFT + int(model.settle_s[0] / 60.0) - 1
    assert all(np.isnan(scores[at]) for at in holding)
    np.testing.assert_allclose(scores, model.score(rows)[: 2 * SHIFT], rtol=1e-9)
