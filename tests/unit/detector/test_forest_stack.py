"""Many forests in arrays answer as each does alone, to the bit."""

from dataclasses import replace

import numpy as np
import pytest

from detector.models.base import Follower
from detector.models.forest import ForestModel
from detector.models.forest_stack import BLOCK, ForestStack
from detector.models.residual import ResidualModel
from detector.rows import Rows
from detector.tuning import Tuning

TUNING = Tuning()
METRICS = ("current_a", "power_kw")


def machine(seed: int, count: int = 300, period_s: float = 1.0) -> Rows:
    noise = np.random.default_rng(seed)
    load = np.sin(np.arange(count) / (10.0 + seed))[:, None] * [5.0, 3.0]
    values = 20.0 + seed + load + 0.2 * noise.standard_normal((count, 2))
    return Rows(METRICS, period_s * np.arange(count), values)


@pytest.fixture(scope="module")
def models() -> list[ForestModel]:
    periods_s = [1.0, 60.0, 0.25, 5.0]
    return [ForestModel.learn(machine(seed, period_s=periods_s[seed % 4]), TUNING) for seed in range(6)]


def follower_after(model: ForestModel, past: Rows) -> Follower:
    follower = model.follow()
    for ts_s, values in zip(past.ts_s, past.values, strict=True):
        follower.take(float(ts_s), values)
    return follower


def test_a_stack_answers_as_each_machine_alone_whatever_comes(models: list[ForestModel]) -> None:
    noise = np.random.default_rng(0)
    stack, alone, now_s = ForestStack(2), dict[int, Follower](), dict[int, float]()
    models_of = dict[int, ForestModel]()
    for round_ in range(250):
        if len(alone) < 5 or noise.random() < 0.05:
            model = models[int(noise.integers(len(models)))]
            past = machine(3).cut(0, int(noise.integers(0, 300)))
            slot = stack.add(model, past)
            assert slot not in alone
            alone[slot], models_of[slot], now_s[slot] = follower_after(model, past), model, 300.0
        if noise.random() < 0.03:
            slot = int(noise.choice(list(alone)))
            stack.remove(slot)
            del alone[slot], models_of[slot]
        if noise.random() < 0.05:
            slot = int(noise.choice(list(alone)))
            models_of[slot] = models[int(noise.integers(len(models)))]
            stack.replace(slot, models_of[slot])
            alone[slot] = models_of[slot].follow(alone[slot])
        slots = noise.permutation(list(alone))[: int(noise.integers(1, len(alone) + 1))]
        for slot in slots:
            now_s[slot] += float(noise.choice([0.1, 1.0, 1.003, 20.0, 5000.0], p=[0.3, 0.5, 0.1, 0.07, 0.03]))
        values = noise.standard_normal((len(slots), 2)) * noise.choice([1.0, 30.0, 1e300]) + 22.0
        values[noise.random(values.shape) < 0.1] = np.nan
        ts_s = np.array([now_s[slot] for slot in slots])
        pushed = stack.push(slots, ts_s, values)
        wanted = [alone[slot].take(at, row) for slot, at, row in zip(slots, ts_s, values, strict=True)]
        np.testing.assert_array_equal(pushed.scores, wanted, err_msg=f"round {round_}")
        assert not pushed.held.any()
        assert stack.explain(int(slots[0])) == alone[slots[0]].explain()
        assert stack.state(int(slots[0])) == ""


def test_more_machines_than_a_block_has_places_are_told_apart(models: list[ForestModel]) -> None:
    stack = ForestStack(2)
    slots = np.array([stack.add(models[at % 6], machine(0).cut(0, 40)) for at in range(2 * BLOCK + 5)])
    assert sorted(slots) == list(range(2 * BLOCK + 5))
    values = np.tile([21.0, 21.0], (len(slots), 1))
    scores = stack.push(slots[::-1], np.full(len(slots), 300.0), values).scores[::-1]
    wanted = [follower_after(model, machine(0).cut(0, 40)).take(300.0, values[0]) for model in models]
    np.testing.assert_array_equal(scores, np.resize(wanted, len(slots)))


def test_a_given_up_slot_is_used_again_and_says_so_until_then(models: list[ForestModel]) -> None:
    stack = ForestStack(2)
    slots = [stack.add(models[0], machine(0)) for _ in range(3)]
    stack.remove(slots[1])
    with pytest.raises(IndexError, match="given up"):
        stack.explain(slots[1])
    assert stack.add(models[1], machine(1)) == slots[1]


def test_a_forest_of_another_size_has_a_block_of_its_own(models: list[ForestModel]) -> None:
    small = ForestModel.learn(machine(0), replace(TUNING, forest=replace(TUNING.forest, trees=8, samples=32)))
    stack = ForestStack(2)
    slots = np.array([stack.add(model, machine(0)) for model in (models[0], small)])
    scores = stack.push(slots, np.full(2, 300.0), np.full((2, 2), 30.0)).scores
    wanted = [follower_after(one, machine(0)).take(300.0, np.full(2, 30.0)) for one in (models[0], small)]
    np.testing.assert_array_equal(scores, wanted)
    with pytest.raises(ValueError, match="cannot follow"):
        stack.replace(int(slots[0]), small)


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(TypeError, match="residual model is no isolation forest"):
        ForestStack(2).add(ResidualModel.learn(machine(0), TUNING), machine(0))


def test_a_machine_of_eight_metrics_takes_64_kib_in_a_full_block() -> None:
    metrics = tuple(f"m{at}_a" for at in range(8))
    rows = Rows(metrics, np.arange(300.0), np.random.default_rng(1).standard_normal((300, 8)))
    stack, model = ForestStack(8), ForestModel.learn(rows, TUNING)
    for _ in range(BLOCK):
        stack.add(model, rows)
    assert stack.memory_bytes / BLOCK <= 64 * 1024
