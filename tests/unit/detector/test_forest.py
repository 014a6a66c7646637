"""What the isolation forest promises beyond what every kind of model does."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from detector.models.base import TooFewRowsError, WrongModelError
from detector.models.forest import SEED, ForestModel
from detector.rows import Rows
from detector.tuning import ForestSetting, Tuning

TUNING = Tuning()
METRICS = ("current_a", "power_kw", "temperature_c")


def machine(count: int = 1500, seed: int = 0, period_s: float = 1.0) -> Rows:
    """A load that goes up and down drives current and power; the temperature wanders by itself."""
    noise = np.random.default_rng(seed)
    load = np.sin(np.arange(count) / 40.0) + 0.1 * noise.standard_normal(count)
    columns = [
        40.0 + 10.0 * load + 0.3 * noise.standard_normal(count),
        20.0 + 5.0 * load + 0.2 * noise.standard_normal(count),
        55.0 + np.cos(np.arange(count) / 90.0) + 0.1 * noise.standard_normal(count),
    ]
    return Rows(METRICS, period_s * np.arange(count), np.stack(columns, axis=1))


def with_contamination(share: float) -> Tuning:
    return replace(TUNING, forest=replace(TUNING.forest, contamination=share))


@pytest.fixture(scope="module")
def model() -> ForestModel:
    return ForestModel.learn(machine(), TUNING)


@pytest.mark.parametrize("share", [0.002, 0.1])
def test_decisions_are_those_of_scikit_learn_with_the_same_contamination(share: float) -> None:
    model = ForestModel.learn(machine(), with_contamination(share))
    learnt = model.features_of(machine())
    learnt = learnt[np.isfinite(learnt).any(axis=1)]
    forest = IsolationForest(
        n_estimators=TUNING.forest.trees,
        max_samples=TUNING.forest.samples,
        contamination=share,
        random_state=SEED,
    ).fit(learnt)
    rows = machine(seed=1)
    features = model.features_of(rows)
    asked = np.isfinite(features).all(axis=1)
    found = model.decision_function(rows)[asked]
    np.testing.assert_allclose(found, forest.decision_function(features[asked]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("share", [0.002, 0.05, 0.3])
def test_contamination_is_the_share_of_training_rows_at_or_above_the_threshold(share: float) -> None:
    scores = ForestModel.learn(machine(), with_contamination(share)).score(machine())
    scores = scores[np.isfinite(scores)]
    assert np.mean(scores >= 1.0) == pytest.approx(share, abs=2.0 / len(scores))


def test_more_contamination_waits_for_more_rows_in_a_row() -> None:
    patient = [ForestModel.learn(machine(), with_contamination(share)).patience for share in (0.002, 0.1)]
    assert patient[0].rows < patient[1].rows <= TUNING.forest.patience_rows_most


@pytest.mark.parametrize("share", [0.002, 0.1])
def test_training_rows_alone_open_no_episode(share: float) -> None:
    model = ForestModel.learn(machine(), with_contamination(share))
    above = model.score(machine()) >= 1.0
    runs = "".join("x" if one else " " for one in above).split()
    assert max(map(len, runs)) < model.patience.rows


@pytest.mark.parametrize("share", [0.0, -0.1, 0.51, float("nan")])
def test_a_contamination_that_is_no_share_is_refused_in_words(share: float) -> None:
    with pytest.raises(ValueError, match=r"contamination is .* share of rows"):
        ForestModel.learn(machine(), with_contamination(share))


@pytest.mark.parametrize("samples", [1, 4096])
def test_a_tree_that_cannot_be_grown_is_refused_in_words(samples: int) -> None:
    tuning = replace(TUNING, forest=ForestSetting(samples=samples))
    with pytest.raises(ValueError, match=r"a tree of \d+ rows cannot be grown"):
        ForestModel.learn(machine(), tuning)


def test_rows_too_far_apart_for_a_window_are_too_few_to_learn_from() -> None:
    values = np.full((200, 3), np.nan)
    values[::10] = 1.0
    with pytest.raises(TooFewRowsError, match="full window"):
        ForestModel.learn(Rows(METRICS, np.arange(200.0), values), TUNING)


def test_far_outside_of_everything_seen_is_stranger_the_farther_it_is(model: ForestModel) -> None:
    scores = []
    for by in (30.0, 60.0, 120.0):
        rows = machine(seed=2)
        values = rows.values.copy()
        values[1000:, 2] += by
        scores.append(model.score(Rows(METRICS, rows.ts_s, values))[-1])
    assert 1.0 < scores[0] < scores[1] < scores[2]


def test_a_row_strange_only_in_what_comes_together_names_its_metrics(model: ForestModel) -> None:
    rows = machine(seed=3)
    values = rows.values.copy()
    values[1200:, 2] = 51.0
    scores = model.score(Rows(METRICS, rows.ts_s, values))
    assert np.nanmedian(scores[1240:]) > np.nanquantile(scores[:1200], 0.99)
    first = model.explain(Rows(METRICS, rows.ts_s, values)).views[0]
    assert first.metric == "temperature_c"
    assert first.window_value < first.window_low <= first.window_expected


@pytest.mark.parametrize("column", range(3))
def test_a_missing_metric_makes_nothing_strange(model: ForestModel, column: int) -> None:
    rows = machine(seed=4)
    values = rows.values.copy()
    values[:, column] = np.nan
    missing, whole = model.score(Rows(METRICS, rows.ts_s, values)), model.score(rows)
    assert np.nanmax(missing) <= max(1.0, float(np.nanmax(whole)))


def test_what_is_expected_is_the_median_of_the_state_the_power_shows() -> None:
    noise = np.random.default_rng(5)
    works = np.arange(2000) // 250 % 2
    power = 5.0 + 45.0 * works + 0.3 * noise.standard_normal(2000)
    flow = 3.0 + 9.0 * works + 0.1 * noise.standard_normal(2000)
    rows = Rows(("flow_m3h", "power_kw"), np.arange(2000.0), np.stack([flow, power], axis=1))
    model = ForestModel.learn(rows, TUNING)
    for last, expected in ((245, (3.0, 5.0)), (495, (12.0, 50.0))):
        views = {view.metric: view for view in model.explain(rows.cut(0, last)).views}
        assert views["flow_m3h"].expected == pytest.approx(expected[0], abs=0.2)
        assert views["power_kw"].expected == pytest.approx(expected[1], abs=0.2)
        assert all(view.low <= view.value <= view.high for view in views.values())


def test_a_machine_of_eight_metrics_takes_at_most_64_kib(model: ForestModel) -> None:
    arrays, _ = model.pack()
    assert sum(array.nbytes for array in arrays.values()) < 60_000
    assert model.feature.dtype == np.uint8


def test_more_metrics_than_a_byte_counts_are_told_apart() -> None:
    noise = np.random.default_rng(6)
    metrics = tuple(f"m{at:02}_a" for at in range(50))
    rows = Rows(metrics, np.arange(300.0), noise.standard_normal((300, 50)))
    model = ForestModel.learn(rows, TUNING)
    assert model.feature.dtype == np.uint16
    values = rows.values.copy()
    values[250:, 49] += 500.0
    assert model.explain(Rows(metrics, rows.ts_s, values)).views[0].metric == "m49_a"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("feature", lambda array: array + np.uint8(18)),
        ("feature", lambda array: array[:, :-1]),
        ("leaf", lambda array: array + np.int16(2000)),
        ("threshold", lambda array: array.astype(np.float64)),
        ("figures", lambda array: array[:, :, :2]),
        ("center", lambda array: array[:2]),
    ],
)
def test_trees_that_would_lead_astray_are_refused(model: ForestModel, name: str, make) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    arrays, facts = model.pack()
    with pytest.raises(WrongModelError, match="train again"):
        ForestModel.unpack({**arrays, name: make(arrays[name])}, facts)
