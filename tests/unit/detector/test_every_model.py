"""One suite of checks over every kind of model, on every sort of machine the kind can be learnt from."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import msgspec
import numpy as np
import pytest
from normal_machines import MAKERS, changed, joined

from detector.models import KINDS, Follower, Model, TooFewRowsError, WrongModelError, stack_for
from detector.models.base import WindowModel
from detector.models.choice import unfit
from detector.rows import Floats, Rows
from detector.tuning import Tuning
from detector.verdict import Seen, Verdict, step

TUNING = Tuning()
SAME = {"rtol": 1e-9, "atol": 1e-9}
NOT_FOR = {("residual", "shifts"), ("single", "fast_channel")}
"""Change-overs are for models of regimes; one channel by the second takes more rows than are made here."""
CASES = [
    pytest.param(kind, name, id=f"{kind}-{name}")
    for kind in KINDS
    for name, maker in MAKERS.items()
    if not unfit(kind, maker.make(2000, 0, 0)) and (kind, name) not in NOT_FOR
]
EVERY = pytest.mark.parametrize(("kind", "name"), CASES)


@cache
def past(name: str) -> Rows:
    maker = MAKERS[name]
    return maker.make(maker.train, 0, 0)


@cache
def learnt(kind: str, name: str) -> Model:
    return KINDS[kind].learn(past(name), TUNING)


def coming(name: str, seed: int = 1) -> Rows:
    """Normal rows that come right after those that were learnt from."""
    maker = MAKERS[name]
    return maker.make(maker.ask, seed, maker.train)


def take(follower: Follower, rows: Rows) -> Floats:
    return np.array(
        [follower.take(float(ts_s), row) for ts_s, row in zip(rows.ts_s, rows.values, strict=True)]
    )


def started(model: Model, before: Rows) -> Follower:
    """Return a follower that has seen what it needs of the past."""
    follower = model.follow()
    take(follower, before.where(before.ts_s > before.ts_s[-1] - model.reach_s - 1.0))
    return follower


@dataclass(frozen=True)
class Watched:
    """What became of rows: their scores, and how many episodes opened."""

    scores: Floats
    opened: int


def watched(model: Model, before: Rows, rows: Rows) -> Watched:
    """Have rows come after those before."""
    follower, verdict, opened, scores = started(model, before), Verdict("m"), 0, []
    for ts_s, row in zip(rows.ts_s, rows.values, strict=True):
        scores.append(follower.take(float(ts_s), row))
        seen = Seen(float(ts_s), scores[-1], rows.metrics[0], held=follower.held)
        verdict, told = step(verdict, seen, model.patience)
        opened += sum(one.phase == "opened" for one in told)
    return Watched(np.array(scores), opened)


def test_every_kind_is_tried_and_every_machine_has_a_kind() -> None:
    tried = [case.values for case in CASES]
    assert {kind for kind, _ in tried} == set(KINDS)
    assert {name for _, name in tried} == set(MAKERS)


@EVERY
def test_nothing_changes_its_input(kind: str, name: str) -> None:
    before, rows = past(name), coming(name)
    kept = [array.copy() for array in (before.ts_s, before.values, rows.ts_s, rows.values)]
    model = KINDS[kind].learn(before, TUNING)
    model.score(rows)
    follower = model.follow()
    take(follower, rows)
    follower.explain()
    for array, copy in zip((before.ts_s, before.values, rows.ts_s, rows.values), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


@EVERY
def test_the_same_rows_make_the_same_model(kind: str, name: str) -> None:
    again = KINDS[kind].learn(past(name), TUNING)
    np.testing.assert_array_equal(again.score(coming(name)), learnt(kind, name).score(coming(name)))


@EVERY
def test_a_stored_model_scores_and_waits_as_before(kind: str, name: str) -> None:
    model, file = learnt(kind, name), io.BytesIO()
    arrays, facts = model.pack()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        kept = {array: stored[array] for array in stored.files}
    found = KINDS[kind].unpack(kept, msgspec.json.decode(msgspec.json.encode(facts)))
    np.testing.assert_array_equal(found.score(coming(name)), model.score(coming(name)))
    assert (found.kind, found.metrics, found.features) == (kind, model.metrics, model.features)
    assert (found.patience, found.span_s, found.reach_s) == (model.patience, model.span_s, model.reach_s)
    assert (found.samples, found.period_s) == (model.samples, model.period_s)


@EVERY
def test_a_packed_model_that_lacks_something_is_refused(kind: str, name: str) -> None:
    arrays, facts = learnt(kind, name).pack()
    for lacking in ({**facts, "metrics": []}, {**facts, "metrics": 3}):
        with pytest.raises(WrongModelError, match="train again"):
            KINDS[kind].unpack(arrays, lacking)
    for missing in arrays:
        with pytest.raises(WrongModelError, match="train again"):
            KINDS[kind].unpack({key: array for key, array in arrays.items() if key != missing}, facts)


@EVERY
def test_scoring_rows_is_following_them(kind: str, name: str) -> None:
    model, rows = learnt(kind, name), coming(name)
    np.testing.assert_allclose(model.score(rows), take(model.follow(), rows), **SAME)


@EVERY
def test_what_comes_later_changes_no_score(kind: str, name: str) -> None:
    model = learnt(kind, name)
    rows = changed(coming(name), 100, 0, lambda values: 3.0 * values)
    whole = model.score(rows)
    for count in (1, 50, 101, 130):
        np.testing.assert_allclose(model.score(rows.cut(0, count)), whole[:count], **SAME)


@EVERY
def test_a_follower_that_saw_what_counts_is_as_one_that_saw_all(kind: str, name: str) -> None:
    model, rows = learnt(kind, name), coming(name).cut(0, 60)
    always = model.follow()
    take(always, past(name))
    np.testing.assert_allclose(watched(model, past(name), rows).scores, take(always, rows), **SAME)


@EVERY
def test_normal_rows_open_no_episode(kind: str, name: str) -> None:
    assert watched(learnt(kind, name), past(name), coming(name)).opened == 0


@EVERY
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_high_is_strange(kind: str, name: str, sign: float) -> None:
    model, rows = learnt(kind, name), coming(name)
    first = len(rows) // 2
    usual = watched(model, past(name), rows).scores
    for column, metric in enumerate(rows.metrics):
        by = sign * 5.0 * np.ptp(past(name).values[:, column])
        strange = changed(rows, first, column, lambda values, by=by: values + by)  # type: ignore[misc]
        seen = watched(model, past(name), strange)
        np.testing.assert_allclose(seen.scores[:first], usual[:first], **SAME)
        assert np.nanmax(seen.scores[first:]) > max(1.0, float(np.nanmax(usual))), metric
        assert seen.opened >= 1, metric


@EVERY
def test_an_explanation_names_what_was_disturbed_and_shares_the_blame(kind: str, name: str) -> None:
    model, rows = learnt(kind, name), coming(name)
    first = len(rows) - 20
    for column, metric in enumerate(rows.metrics):
        by = 5.0 * np.ptp(past(name).values[:, column])
        follower = started(model, past(name))
        take(follower, changed(rows, first, column, lambda values, by=by: values + by))  # type: ignore[misc]
        views = follower.explain().views
        assert sum(view.share for view in views) == pytest.approx(1.0)
        assert [view.share for view in views] == sorted((view.share for view in views), reverse=True)
        if follower.held:
            continue
        assert views[0].metric == metric
        assert views[0].window_value > views[0].window_expected
        for view in views:
            figures = [view.value, view.expected, view.low, view.high, view.sigma, view.score]
            assert np.isfinite(figures).all()
            assert view.low <= view.high


@EVERY
def test_a_gap_is_survived_and_is_no_anomaly(kind: str, name: str) -> None:
    model, maker, rows = learnt(kind, name), MAKERS[name], coming(name)
    hole = int(np.ceil(3.0 * 86_400.0 / maker.period_s))
    after = maker.make(maker.ask, 2, maker.train + len(rows) + hole)
    seen = watched(model, past(name), joined(rows, after))
    assert seen.opened == 0
    assert np.isfinite(seen.scores[len(rows) :]).any()


def _vanishing(rows: Rows, first: int, last: int) -> Iterator[tuple[str, Rows]]:
    for column, metric in enumerate(rows.metrics):
        values = rows.values.copy()
        values[first:last, column] = np.nan
        yield metric, Rows(rows.metrics, rows.ts_s, values)


@EVERY
def test_a_metric_that_vanishes_is_no_anomaly(kind: str, name: str) -> None:
    model, rows = learnt(kind, name), coming(name)
    for metric, without in _vanishing(rows, 60, len(rows)):
        if kind == "regimes" and metric == "power_kw":
            continue  # without its power nobody sees such a machine change over
        assert watched(model, past(name), without).opened == 0, metric
        follower = started(model, past(name))
        take(follower, without)
        assert metric not in {view.metric for view in follower.explain().views}


@EVERY
def test_a_metric_that_comes_back_is_scored_again(kind: str, name: str) -> None:
    model, rows = learnt(kind, name), coming(name)
    for metric, without in _vanishing(rows, 60, 120):
        seen = watched(model, past(name), without)
        assert np.isfinite(seen.scores[-1]), metric
        assert seen.opened == 0, metric


@EVERY
def test_a_metric_that_appears_changes_nothing(kind: str, name: str) -> None:
    model, rows = learnt(kind, name), coming(name)
    values = np.concatenate([np.ones((len(rows), 1)), rows.values], axis=1)
    wider = Rows(("aaa_g", *rows.metrics), rows.ts_s, values)
    np.testing.assert_array_equal(model.score(wider), model.score(rows))


@EVERY
def test_a_column_that_never_moved_can_be_learnt_and_may_tremble(kind: str, name: str) -> None:
    for column in range(len(past(name).metrics)):
        still = changed(past(name), 0, column, lambda values: np.full_like(values, 7.0))
        model = _learn_or_none(kind, still)
        if model is None:
            continue
        later = changed(coming(name), 0, column, lambda values: np.full_like(values, 7.0))
        trembling = changed(later, 60, column, lambda values: values + 1e-9)
        assert watched(model, still, trembling).opened == 0


@EVERY
def test_a_column_without_a_value_can_be_there(kind: str, name: str) -> None:
    for _, empty in _vanishing(past(name), 0, len(past(name))):
        model = _learn_or_none(kind, empty)
        if model is None:
            continue
        rows = next(without for _, without in _vanishing(coming(name), 0, 0))
        scores = watched(model, empty, rows).scores
        assert not np.isinf(scores).any()


def _learn_or_none(kind: str, rows: Rows) -> Model | None:
    """Return the model, or None where these rows teach nothing: that too is an answer."""
    try:
        return KINDS[kind].learn(rows, TUNING)
    except TooFewRowsError:
        return None


@EVERY
@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_a_row_is_too_little_to_learn_from_and_to_say_anything_of(
    kind: str, name: str, count: int
) -> None:
    with pytest.raises(TooFewRowsError, match="too few"):
        KINDS[kind].learn(past(name).cut(0, count), TUNING)
    scores = learnt(kind, name).score(coming(name).cut(0, count))
    assert scores.shape == (count,)
    assert not (scores >= 1.0).any()


@EVERY
def test_a_refit_loses_nothing_of_the_past(kind: str, name: str) -> None:
    model, rows = learnt(kind, name), coming(name)
    before, after = rows.cut(0, 100), rows.cut(100, 160)
    follower = started(model, past(name))
    take(follower, before)
    wanted = watched(model, past(name), rows.cut(0, 160)).scores[100:]
    np.testing.assert_allclose(take(model.follow(follower), after), wanted, **SAME)


@EVERY
def test_a_refitted_model_goes_on_at_once(kind: str, name: str) -> None:
    model, rows = learnt(kind, name), coming(name)
    newer = KINDS[kind].learn(joined(past(name), rows.cut(0, 100)), TUNING)
    follower = started(model, past(name))
    last = take(follower, rows.cut(0, 100))[-1]
    scores = take(newer.follow(follower), rows.cut(100, 110))
    assert np.isfinite(scores[0]) == np.isfinite(last)
    if not isinstance(model, WindowModel):
        return  # what such a follower knows is more than the rows it has seen under the newer model
    fresh = watched(newer, joined(past(name), rows.cut(0, 100)), rows.cut(100, 110)).scores
    np.testing.assert_allclose(scores, fresh, **SAME)


@EVERY
@pytest.mark.parametrize("extreme", [1e300, -1e300])
def test_an_extreme_neither_warns_nor_blinds(kind: str, name: str, extreme: float) -> None:
    model, rows = learnt(kind, name), coming(name)
    values = rows.values.copy()
    values[40:43] = extreme
    scores = watched(model, past(name), Rows(rows.metrics, rows.ts_s, values)).scores
    assert not np.isinf(scores).any()
    assert np.isfinite(scores[-1])


@EVERY
@pytest.mark.parametrize("extreme", [1e300, -1e300])
def test_an_extreme_among_what_is_learnt_blinds_no_model(kind: str, name: str, extreme: float) -> None:
    values = past(name).values.copy()
    values[200] = extreme
    model = KINDS[kind].learn(Rows(past(name).metrics, past(name).ts_s, values), TUNING)
    rows = coming(name)
    by = 20.0 * np.ptp(past(name).values[:, 0])
    strange = changed(rows, len(rows) // 2, 0, lambda measured: measured + by)
    assert np.nanmax(watched(model, past(name), strange).scores) > 1.0


@EVERY
def test_machines_scored_together_are_scored_as_each_alone(kind: str, name: str) -> None:
    maker, noise = MAKERS[name], np.random.default_rng(5)
    models = [learnt(kind, name), KINDS[kind].learn(maker.make(maker.train, 9, 0), TUNING)]
    stack = stack_for(models[0])
    rows = [coming(name, seed) for seed in range(4)]
    slots = [stack.add(models[at % 2], past(name)) for at in range(4)]
    alone = [started(models[at % 2], past(name)) for at in range(4)]
    following = [models[at % 2] for at in range(4)]
    for at in range(150):
        chosen = noise.permutation(4)[: int(noise.integers(1, 5))]
        if noise.random() < 0.05:
            one = int(chosen[0])
            following[one] = models[int(noise.integers(2))]
            stack.replace(slots[one], following[one])
            alone[one] = following[one].follow(alone[one])
        values = np.stack([rows[one].values[at] for one in chosen])
        values = np.where(noise.random(values.shape) < 0.05, np.nan, values)
        values *= noise.choice([1.0, 1.0, 1.0, 4.0])
        ts_s = np.array([rows[one].ts_s[at] for one in chosen])
        pushed = stack.push(np.array([slots[one] for one in chosen]), ts_s, values)
        wanted = [alone[one].take(float(ts), row) for one, ts, row in zip(chosen, ts_s, values, strict=True)]
        np.testing.assert_allclose(pushed.scores, wanted, **SAME)
        assert pushed.held.tolist() == [alone[one].held for one in chosen]
        assert [stack.state(slots[one]) for one in chosen] == [alone[one].state for one in chosen]
    for one in range(4):
        told, wanted_views = stack.explain(slots[one]), alone[one].explain()
        assert [view.metric for view in told.views] == [view.metric for view in wanted_views.views]
        np.testing.assert_allclose(
            [view.share for view in told.views], [view.share for view in wanted_views.views], rtol=1e-6
        )
        assert told.cause == wanted_views.cause
