"""Machines scored together score as each by itself does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.models import Follower, Model, RegimesModel, ResidualModel, Stack, stack_for, stack_key
from detector.models.stack import OneByOne
from detector.rows import Rows
from detector.tuning import Tuning

METRICS = ("current_a", "flow_m3h", "power_kw")
NOTHING = Rows(METRICS, np.empty(0), np.empty((0, 3)))


def rows(count: int, seed: int, period_s: float = 1.0) -> Rows:
    """Works and rests in turn, and its power with it."""
    noise = np.random.default_rng(seed)
    load = (np.arange(count) // 300 % 2 == 0) + 0.02 * noise.standard_normal(count)
    values = np.outer(load, [90.0, 7.0, 45.0]) + 0.3 * noise.standard_normal((count, 3))
    return Rows(METRICS, period_s * np.arange(count), values)


@pytest.fixture(scope="module")
def models() -> list[Model]:
    """Three plain ones, and two with regimes."""
    plain: list[Model] = [ResidualModel.learn(rows(400 + 50 * n, n), Tuning()) for n in range(3)]
    split: list[Model] = [RegimesModel.learn(rows(3000, n, 60.0), Tuning()) for n in (3, 4)]
    assert all(isinstance(one, RegimesModel) and one.splits for one in split)
    return plain + split


class Pair:
    """A stack beside the followers it should equal."""

    def __init__(self, models: list[Model], past: Rows) -> None:
        self.stack: Stack = stack_for(models[0])
        self.singles: list[Follower] = []
        self.slots: list[int] = []
        for model in models:
            self.slots.append(self.stack.add(model, past))
            follower = model.follow()
            for ts_s, values in zip(past.ts_s, past.values, strict=True):
                follower.take(float(ts_s), values)
            self.singles.append(follower)

    def push(self, chosen: list[int], ts_s: float, values: np.ndarray) -> None:  # type: ignore[type-arg]
        slots = np.array([self.slots[one] for one in chosen])
        pushed = self.stack.push(slots, np.full(len(chosen), ts_s), values[chosen])
        alone = [self.singles[one].take(ts_s, values[one]) for one in chosen]
        np.testing.assert_allclose(pushed.scores, alone, rtol=1e-9, atol=1e-9)
        assert pushed.held.tolist() == [self.singles[one].held for one in chosen]

    def replace(self, chosen: int, model: Model) -> None:
        self.stack.replace(self.slots[chosen], model)
        self.singles[chosen] = model.follow(self.singles[chosen])


kinds = st.sampled_from(["usual", "usual", "usual", "missing", "jump", "frozen"])
steps = st.lists(
    st.tuples(
        st.sampled_from([0.1, 1.0, 1.0, 1.0, 7.0, 60.0, 900.0]),
        kinds,
        st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True),
        st.booleans(),
    ),
    min_size=5,
    max_size=80,
)


@settings(max_examples=12, deadline=None)
@given(steps, st.integers(0, 1000))
def test_a_stack_scores_what_each_follower_scores(
    models: list[Model], steps: list[tuple[float, str, list[int], bool]], seed: int
) -> None:
    noise, pair = np.random.default_rng(seed), Pair(models, rows(40, seed))
    ts_s, values = 39.0, np.zeros((5, 3))
    for number, (gap_s, kind, chosen, refitted) in enumerate(steps):
        ts_s += gap_s
        if kind != "frozen":
            load = (number // 25 % 2 == 0) + 0.02 * noise.standard_normal((5, 1))
            values = load * [90.0, 7.0, 45.0] + 0.3 * noise.standard_normal((5, 3))
        if kind == "missing":
            values[noise.random((5, 3)) < 0.3] = np.nan
        if kind == "jump":
            values[noise.integers(5)] *= 1e5
        if refitted:
            at = chosen[0]
            pair.replace(at, models[(number + at) % 5])
        pair.push(chosen, ts_s, values)


def test_rows_that_come_faster_than_a_window_has_room_for_are_scored_as_alone() -> None:
    model = ResidualModel.learn(rows(400, 1, 60.0), Tuning())
    assert model.span_s == 180.0
    pair = Pair([model, model], NOTHING)
    noise = np.random.default_rng(0)
    ts_s = 0.0
    for number in range(700):
        ts_s += 0.5 if number > 300 else 1.0
        values = np.array([90.0, 7.0, 45.0]) + 0.3 * noise.standard_normal((2, 3))
        pair.push([0] if number % 3 else [0, 1], ts_s, values)


def test_over_a_long_run_nothing_adds_up() -> None:
    model = ResidualModel.learn(rows(400, 1), Tuning())
    pair = Pair([model], NOTHING)
    noise = np.random.default_rng(0)
    for number in range(20_000):
        pair.stack.push(np.array([0]), np.array([float(number)]), noise.standard_normal((1, 3)) * 1e6)
    for number in range(20_100, 20_160):
        pair.push([0], float(number), rows(1, number).values)


def test_what_a_stack_explains_is_what_the_follower_explains(models: list[Model]) -> None:
    pair = Pair(models, rows(40, 9))
    pair.push([0, 1, 2, 3, 4], 40.0, rows(5, 8).values)
    for slot, single in zip(pair.slots, pair.singles, strict=True):
        assert pair.stack.explain(slot) == single.explain()


def test_a_slot_that_was_given_up_is_used_again_and_knows_nothing_of_the_one_before(
    models: list[Model],
) -> None:
    stack = stack_for(models[3])
    slot = stack.add(models[3], rows(40, 1))
    stack.remove(slot)
    assert stack.add(models[0], NOTHING) == slot
    first = stack.push(np.array([slot]), np.array([5000.0]), rows(1, 2).values)
    assert np.isnan(first.scores[0])
    assert not first.held[0]


def test_any_other_kind_of_model_is_followed_one_by_one(models: list[Model]) -> None:
    pair, stack = Pair(models, rows(40, 9)), OneByOne()
    slots = np.array([stack.add(model, rows(40, 9)) for model in models])
    values = rows(5, 8).values
    alone = [single.take(40.0, row) for single, row in zip(pair.singles, values, strict=True)]
    np.testing.assert_array_equal(stack.push(slots, np.full(5, 40.0), values).scores, alone)
    assert stack.memory_bytes > 0


def test_models_share_a_stack_when_they_have_as_many_metrics(models: list[Model]) -> None:
    assert len({stack_key(one) for one in models}) == 1
    one = ResidualModel.learn(Rows(("a",), np.arange(100.0), rows(100, 1).values[:, :1]), Tuning())
    assert stack_key(one) != stack_key(models[0])
    assert stack_key(replace(one, threshold=9.0)) == stack_key(one)


def test_what_a_machine_takes_is_bounded(models: list[Model]) -> None:
    stack = stack_for(models[0])
    slots = [stack.add(models[0], rows(40, 1)) for _ in range(64)]
    assert stack.memory_bytes / len(slots) < 8192
