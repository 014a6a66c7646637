"""What residual models promise; test_every_model.py has what models of every kind do."""

import numpy as np
import pytest

from detector.models import Model, RegimesModel, ResidualModel, TooFewRowsError, WrongModelError
from detector.rows import Rows
from detector.tuning import Tuning

TUNING = Tuning()
KIND = pytest.mark.parametrize("kind", [ResidualModel, RegimesModel], ids=["residual", "regimes"])


def machine(count: int = 500, seed: int = 0, period_s: float = 1.0, offset_s: float = 0.0) -> Rows:
    """Load drives three metrics; the fourth never moves."""
    noise = np.random.default_rng(seed)
    load = np.sin(np.arange(count) / 40.0) + 0.1 * noise.standard_normal(count)
    columns = [
        40.0 + 10.0 * load + 0.3 * noise.standard_normal(count),
        60.0 + 5.0 * load + 0.2 * noise.standard_normal(count),
        7.0 - 0.5 * load + 0.02 * noise.standard_normal(count),
        np.full(count, 230.0),
    ]
    ts_s = offset_s + period_s * np.arange(count)
    return Rows(("power_kw", "temperature_c", "pressure_bar", "voltage_v"), ts_s, np.stack(columns, axis=1))


def changed(rows: Rows, first: int, column: int, by: float) -> Rows:
    values = rows.values.copy()
    values[first:, column] += by
    return Rows(rows.metrics, rows.ts_s, values)


@KIND
def test_learning_and_scoring_leave_their_input_untouched(kind: type[Model]) -> None:
    rows = machine()
    before = rows.values.copy(), rows.ts_s.copy()
    model = kind.learn(rows, TUNING)
    model.score(rows)
    model.explain(rows)
    np.testing.assert_array_equal(rows.values, before[0])
    np.testing.assert_array_equal(rows.ts_s, before[1])


@KIND
def test_the_same_rows_give_the_same_scores(kind: type[Model]) -> None:
    first, second = (kind.learn(machine(), TUNING).score(machine(seed=1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@KIND
def test_a_packed_model_scores_as_before(kind: type[Model]) -> None:
    model = kind.learn(machine(), TUNING)
    again = kind.unpack(*model.pack())
    np.testing.assert_array_equal(model.score(machine(seed=2)), again.score(machine(seed=2)))
    assert again.features == model.features


@KIND
def test_a_model_of_another_shape_is_refused(kind: type[Model]) -> None:
    arrays, facts = kind.learn(machine(), TUNING).pack()
    with pytest.raises(WrongModelError, match="train again"):
        kind.unpack(arrays, {**facts, "metrics": ["power_kw"]})
    with pytest.raises(WrongModelError, match="train again"):
        kind.unpack({name: arrays[name] for name in list(arrays)[1:]}, facts)


@KIND
def test_normal_rows_stay_below_the_threshold(kind: type[Model]) -> None:
    scores = kind.learn(machine(), TUNING).score(machine(seed=3))
    assert np.nanmax(scores) < 1.0


@KIND
@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_high_is_strange(kind: type[Model], column: int, sign: float) -> None:
    size = (15.0, 8.0, 1.0, 60.0)[column]
    rows = machine(seed=4)
    model = kind.learn(machine(), TUNING)
    usual, strange = model.score(rows), model.score(changed(rows, 300, column, sign * size))
    np.testing.assert_allclose(strange[:300], usual[:300], rtol=1e-6)
    assert np.median(strange[340:]) > 1.0 > np.nanmax(usual)
    assert np.median(model.score(changed(rows, 300, column, 2 * sign * size))[340:]) > np.median(
        strange[340:]
    )
    views = model.explain(changed(rows, 300, column, sign * size)).views
    assert views[0].metric == rows.metrics[column]
    assert np.sign(views[0].window_value - views[0].window_expected) == sign


@KIND
def test_shares_of_an_explanation_add_up_to_one(kind: type[Model]) -> None:
    views = kind.learn(machine(), TUNING).explain(machine(seed=5)).views
    assert sum(view.share for view in views) == pytest.approx(1.0)
    assert [view.share for view in views] == sorted((view.share for view in views), reverse=True)


@KIND
def test_a_gap_is_no_anomaly(kind: type[Model]) -> None:
    rows = machine(seed=6)
    ts_s = np.where(np.arange(500) < 250, rows.ts_s, rows.ts_s + 7200.0)
    scores = kind.learn(machine(), TUNING).score(Rows(rows.metrics, ts_s, rows.values))
    assert not np.isfinite(scores[250]), "one row after a gap says nothing"
    assert np.nanmax(scores) < 1.0


@KIND
@pytest.mark.parametrize("column", range(4))
def test_a_metric_that_vanishes_is_no_anomaly(kind: type[Model], column: int) -> None:
    rows = machine(seed=7)
    values = rows.values.copy()
    values[200:, column] = np.nan
    model = kind.learn(machine(), TUNING)
    scores = model.score(Rows(rows.metrics, rows.ts_s, values))
    assert np.isfinite(scores[-1])
    assert np.nanmax(scores) < 1.0
    explained = model.explain(Rows(rows.metrics, rows.ts_s, values)).views
    assert rows.metrics[column] not in {view.metric for view in explained}


@KIND
def test_a_metric_that_appears_changes_nothing(kind: type[Model]) -> None:
    rows = machine(seed=8)
    model = kind.learn(machine(), TUNING)
    values = np.concatenate([rows.values, np.ones((500, 1))], axis=1)
    wider = Rows((*rows.metrics, "flow_m3h"), rows.ts_s, values)
    np.testing.assert_array_equal(model.score(wider), model.score(rows))


@KIND
def test_constants_alone_can_be_learnt_and_scored(kind: type[Model]) -> None:
    flat = Rows(("a", "b"), np.arange(100.0), np.tile([5.0, 0.0], (100, 1)))
    model = kind.learn(flat, TUNING)
    assert np.nanmax(model.score(flat)) < 1.0
    assert np.nanmax(model.score(changed(flat, 50, 0, 1e-9))) < 1.0


@KIND
def test_nearly_constant_columns_give_finite_scores(kind: type[Model]) -> None:
    values = np.zeros((200, 2))
    values[::50, 0] = 1.0
    values[:, 1] = 1e9
    values[::3, 1] += 1e-3
    model = kind.learn(Rows(("a", "b"), np.arange(200.0), values), TUNING)
    scores = model.score(Rows(("a", "b"), np.arange(200.0), values))
    assert np.isfinite(scores[10:]).all()


@KIND
def test_two_rows_cannot_be_learnt_from_and_say_nothing(kind: type[Model]) -> None:
    with pytest.raises(TooFewRowsError, match="too few"):
        kind.learn(machine(2), TUNING)
    model = kind.learn(machine(), TUNING)
    assert np.isnan(model.score(machine(2))).all()
    model.explain(machine(2))


@KIND
def test_a_single_metric_is_compared_with_its_own_past(kind: type[Model]) -> None:
    noise = np.random.default_rng(1)
    one = Rows(("usage_kwh",), 900.0 * np.arange(600), 5.0 + noise.standard_normal((600, 1)))
    model = kind.learn(one, TUNING)
    assert np.nanmax(model.score(one)) < 1.0
    assert model.score(changed(one, 500, 0, 9.0))[-1] > 1.0


@KIND
def test_a_model_trained_by_the_minute_holds_for_rows_by_the_second(kind: type[Model]) -> None:
    model = kind.learn(machine(period_s=60.0), TUNING)
    slow = machine(seed=9, period_s=60.0)
    dense_s = np.arange(0.0, 60.0 * 499, 1.0)
    columns = [np.interp(dense_s, slow.ts_s, column) for column in slow.values.T]
    assert np.nanmax(model.score(Rows(slow.metrics, dense_s, np.stack(columns, axis=1)))) < 1.0


@KIND
def test_a_score_depends_on_its_window_alone(kind: type[Model]) -> None:
    model = kind.learn(machine(), TUNING)
    rows = machine(seed=10)
    alone = rows.cut(400 - int(model.span_s), 400)
    assert model.score(alone)[-1] == pytest.approx(model.score(rows)[399], rel=1e-6)


@KIND
def test_a_machine_at_rest_is_expected_to_draw_what_it_draws_at_rest(kind: type[Model]) -> None:
    noise = np.random.default_rng(11)
    works = np.arange(1200) // 300 % 4 != 3
    load = works * (1.0 + 0.05 * np.sin(np.arange(1200) / 25.0))
    measured = [size * load + 0.004 * size * noise.standard_normal(1200) for size in (95.0, 6.0, 50.0)]
    metrics = ("current_a", "flow_m3h", "power_kw")
    rows = Rows(metrics, 60.0 * np.arange(1200), np.stack(measured, axis=1))
    model = kind.learn(rows, TUNING)
    power = next(view for view in model.explain(rows.cut(1000, 1190)).views if view.metric == "power_kw")
    assert power.score < 1.0
    assert power.expected == pytest.approx(0.0, abs=5.0)
    assert power.low <= power.value <= power.high
