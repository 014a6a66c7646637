"""Flattened trees answer as scikit-learn's own do."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

from detector.models.forest_trees import average_path_length, flattened, mean_lengths, rounded_down
from detector.rows import Floats

LARGE = 2.0**100


def fitted(rows: Floats, trees: int, samples: int, seed: int = 0) -> IsolationForest:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="max_samples")
        return IsolationForest(n_estimators=trees, max_samples=samples, random_state=seed).fit(rows)


def score_samples(forest: IsolationForest, depth: int, rows: Floats) -> Floats:
    lengths = mean_lengths(flattened(forest, depth), rows.astype(np.float32), np.zeros(len(rows), np.int64))
    return -(2.0 ** (-lengths / average_path_length(np.array(float(forest.max_samples_)))))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(2, 400),
    width=st.integers(1, 9),
    samples=st.sampled_from([2, 7, 64, 128, 200]),
    grid=st.sampled_from([0.0, 0.5, 1e-3]),
    size=st.sampled_from([1.0, 1e-9, 1e9]),
)
def test_flattened_trees_score_as_scikit_learn_does(
    seed: int, count: int, width: int, samples: int, grid: float, size: float
) -> None:
    noise = np.random.default_rng(seed)
    rows = noise.standard_normal((count, width)) * noise.choice([0.0, 1.0, 10.0], width)
    rows = size * (np.round(rows / grid) * grid if grid else rows)
    forest = fitted(rows, 5, samples, seed % 1000)
    asked = np.concatenate([rows, rows + size * noise.standard_normal(rows.shape), 1e3 * rows])
    np.testing.assert_allclose(
        score_samples(forest, 8, asked), forest.score_samples(asked.astype(np.float32)), rtol=0, atol=1e-9
    )


def test_rows_that_lie_on_a_split_go_the_same_way() -> None:
    noise = np.random.default_rng(1)
    rows = noise.standard_normal((300, 3)).astype(np.float32).astype(np.float64)
    forest = fitted(rows, 20, 256)
    cuts = [
        (tree.tree_.feature[at], tree.tree_.threshold[at])
        for tree in forest.estimators_
        for at in np.flatnonzero(tree.tree_.children_left >= 0)
    ]
    near = [np.float32(cut) for _, cut in cuts]
    around = [
        (one, np.nextafter(one, np.float32(np.inf)), np.nextafter(one, -np.float32(np.inf))) for one in near
    ]
    asked = np.repeat(rows[:1], 3 * len(cuts), axis=0)
    asked[np.arange(3 * len(cuts)), np.repeat([feature for feature, _ in cuts], 3)] = np.ravel(around)
    np.testing.assert_allclose(
        score_samples(forest, 8, asked), forest.score_samples(asked), rtol=0, atol=1e-9
    )


@given(
    st.one_of(st.floats(-LARGE, LARGE), st.floats(-LARGE, LARGE, width=32)),
    st.one_of(st.floats(-LARGE, LARGE, width=32), st.integers(-2, 2)),
)
def test_a_threshold_rounded_down_decides_as_before(threshold: float, near: float) -> None:
    rounded = rounded_down(np.array([threshold]))[0]
    steps = np.float32(threshold) if isinstance(near, int) else np.float32(near)
    if isinstance(near, int):
        for _ in range(abs(near)):
            steps = np.nextafter(steps, np.float32(np.copysign(np.inf, near)))
    assert (float(steps) <= threshold) == bool(steps <= rounded)


def test_a_missing_value_goes_where_most_rows_went() -> None:
    noise = np.random.default_rng(2)
    rows = np.stack([noise.standard_normal(500), np.where(noise.random(500) < 0.1, 5.0, 0.0)], axis=1)
    forest = fitted(rows, 30, 128)
    usual, rare, missing = score_samples(forest, 7, np.array([[0.0, 0.0], [0.0, 5.0], [0.0, np.nan]]))
    assert missing >= usual > rare


@pytest.mark.parametrize("samples", [2, 33, 128])
def test_a_tree_of_every_depth_fits_the_depth_asked_for(samples: int) -> None:
    rows = np.random.default_rng(3).standard_normal((200, 4))
    forest = fitted(rows, 5, samples)
    same = [score_samples(forest, depth, rows) for depth in (7, 8, 10)]
    np.testing.assert_array_equal(same[0], same[1])
    np.testing.assert_array_equal(same[0], same[2])
