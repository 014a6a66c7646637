"""What residual models learn: regressions, and how far a slow metric may wander."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from detector.models import ResidualModel
from detector.models.residual_fit import SHRINKAGE, regress, wander_of, without_extremes
from detector.rows import Rows
from detector.tuning import Tuning

SPAN_S = 20.0


def walk(count: int, step: float, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.cumsum(step * np.random.default_rng(seed).standard_normal(count))


def wandering(figures: np.ndarray, period_s: float = 1.0):  # type: ignore[type-arg,no-untyped-def]  # noqa: ANN201
    column = figures[:, None]
    return wander_of(period_s * np.arange(len(figures)), column, column, SPAN_S, np.array([1e-9]))


def test_the_regressions_of_all_metrics_are_ridge_regressions() -> None:
    noise = np.random.default_rng(0)
    values = noise.standard_normal((300, 4)) @ noise.standard_normal((4, 4))
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    values = values.clip(-10.0, 10.0)
    weights, _ = regress(values, 2)
    size = np.trace(np.cov(values.T, bias=True)) / 4
    for column in range(4):
        others = [other for other in range(4) if other != column]
        ridge = Ridge(alpha=300 * size * SHRINKAGE / (1.0 - SHRINKAGE))
        ridge.fit(values[:, others], values[:, column])
        np.testing.assert_allclose(weights[others, column], ridge.coef_, rtol=1e-9)
        assert weights[column, column] == 0.0


def test_a_stretch_is_judged_by_what_the_others_taught() -> None:
    noise = np.random.default_rng(1)
    load = noise.standard_normal(400)
    other = np.where(np.arange(400) < 100, -load, load) + 0.01 * noise.standard_normal(400)
    _, outside = regress(np.stack([load, other], axis=1), 4)
    assert [stretch.start for stretch, _ in outside] == [0, 100, 200, 300]
    assert outside[0][1][0, 1] > 0.8
    assert outside[1][1][0, 1] < 0.5


def test_what_only_scatters_does_not_wander() -> None:
    scatter = 2.0 * np.random.default_rng(2).standard_normal(4000)
    found = wandering(scatter)
    assert found.variance[0] == pytest.approx(4.0, rel=0.1)
    assert found.growth[0] * 1000.0 < 1.0
    assert found.middle[0] == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize("period_s", [1.0, 5.0])
def test_walks_grow_by_their_steps_and_are_expected_where_they_ended(period_s: float) -> None:
    paths = [walk(2000, 0.5, seed) for seed in range(40)]
    found = [wandering(path, period_s) for path in paths]
    assert np.mean([one.growth[0] for one in found]) == pytest.approx(0.25 / period_s, rel=0.3)
    off = [abs(one.middle[0] - path[-1]) / np.ptp(path) for one, path in zip(found, paths, strict=True)]
    assert np.median(off) < 0.1


def test_rows_on_both_sides_of_a_hole_are_no_pair() -> None:
    level = np.where(np.arange(600) < 300, 0.0, 50.0) + 0.1 * np.random.default_rng(4).standard_normal(600)
    ts_s = np.where(np.arange(600) < 300, np.arange(600.0), 90_000.0 + np.arange(600))
    found = wander_of(ts_s, level[:, None], level[:, None], SPAN_S, np.array([1e-9]))
    assert found.variance[0] + 1000.0 * found.growth[0] < 1.0


def test_a_slow_metric_may_wander_on_while_a_steady_one_may_not() -> None:
    noise = np.random.default_rng(5)
    slow, steady = walk(1600, 0.05, 6), 3.0 + 0.2 * noise.standard_normal(1600)
    rows = Rows(("oil_c", "flow_m3h"), np.arange(1600.0), np.stack([60.0 + slow, steady], axis=1))
    model = ResidualModel.learn(rows.cut(0, 800), Tuning())
    assert np.nanmax(model.score(rows.cut(780))) < 1.0
    for column, by in ((0, 2.0), (1, 0.4)):
        values = rows.values.copy()
        values[1500:, column] += by
        assert (np.nanmax(model.score(Rows(rows.metrics, rows.ts_s, values))) > 1.0) == (column == 1)


def test_what_wanders_is_the_less_certain_the_longer_ago_it_was_learnt() -> None:
    rows = Rows(("oil_c",), np.arange(800.0), 60.0 + walk(800, 0.05, 7)[:, None])
    model = ResidualModel.learn(rows, Tuning())
    soon, late = (
        model.score(Rows(rows.metrics, 800.0 + wait_s + np.arange(40.0), np.full((40, 1), 75.0)))[-1]
        for wait_s in (0.0, 5000.0)
    )
    assert soon > 1.5 * late


def test_only_values_beyond_all_measure_teach_nothing() -> None:
    values = np.random.default_rng(8).standard_normal((400, 3))
    values[:, 1] = 0.0
    values[7, 0], values[9, 1], values[11, 2] = 1e6, 500.0, 50.0
    gone = np.argwhere(np.isnan(without_extremes(values)))
    assert gone.tolist() == [[7, 0]]
