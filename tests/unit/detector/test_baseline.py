"""A meter against its baseline: clean weeks are quiet, every kind of fault is found, and named as it is."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from detector.models.base import Follower, TooFewRowsError, WrongModelError
from detector.models.baseline import BaselineModel, supports
from detector.rows import Floats, Rows
from detector.tuning import Tuning
from detector.verdict import Seen, Verdict, step

TUNING = Tuning()
DAY = 96
STEP_S = 900.0
MONDAY_S = 4 * 86_400.0
TRAIN = 35 * DAY
QUIET_KWH, BUSY_KWH = 4.0, 60.0
NIGHT = 9 * DAY + 2
"""Two o'clock and a half on a Wednesday night, in rows after the training."""


@cache
def plant(days: int = 63, seed: int = 5) -> Rows:
    """A plant that works two shifts from Monday to Friday, now and then not, with a shift flag beside it."""
    draw = np.random.default_rng(seed)
    at = np.arange(days * DAY)
    hour, day = at % DAY / 4.0, at // DAY
    holiday = np.isin(day, draw.choice(days, days // 14, replace=False))
    shift = ((day % 7 < 5) & (hour >= 6) & (hour < 22)).astype(float)
    works = (shift > 0) & ~holiday & (draw.random(len(at)) < 0.98)
    level = QUIET_KWH * (1.0 + 0.03 * draw.standard_normal(days))[day]
    quiet = level * np.exp(np.abs(0.06 * draw.standard_normal(len(at))))
    used = quiet + works * BUSY_KWH * draw.uniform(0.5, 1.5, len(at))
    return Rows(("on_shift", "usage_kwh"), MONDAY_S + STEP_S * at, np.stack([shift, used.round(2)], axis=1))


@cache
def learnt() -> BaselineModel:
    return BaselineModel.learn(plant().cut(0, TRAIN), TUNING)


@cache
def trained() -> Follower:
    """Return a follower that has seen the training; others go on from it."""
    follower, past = learnt().follow(), plant().cut(0, TRAIN)
    for ts_s, row in zip(past.ts_s, past.values, strict=True):
        follower.take(float(ts_s), row)
    return follower


def with_fault(first: int, rows: int, fault: Callable[[Floats], Floats]) -> Rows:
    """Change the meter from `first` rows after the training on."""
    values = plant().values.copy()
    span = slice(TRAIN + first, TRAIN + first + rows)
    values[span, 1] = fault(values[span, 1])
    return Rows(plant().metrics, plant().ts_s, values)


def told(rows: Rows) -> tuple[list[tuple[int, int]], list[str]]:
    """Return the episodes after the training as rows from it, and each row's cause where one is open."""
    model = learnt()
    follower = model.follow(trained())
    verdict, episodes, causes, opened = Verdict("m"), [], [], 0
    for at in range(len(rows) - TRAIN):
        ts_s, row = float(rows.ts_s[TRAIN + at]), rows.values[TRAIN + at]
        score = follower.take(ts_s, row)
        verdict, news = step(verdict, Seen(ts_s, score, "usage_kwh", held=follower.held), model.patience)
        for one in news:
            if one.phase == "opened":
                opened = at
            if one.phase == "closed":
                episodes.append((opened, at))
        causes.append(follower.explain().cause or "" if score >= 1.0 else "")
    if verdict.episode is not None:
        episodes.append((opened, len(rows) - TRAIN))
    return episodes, causes


def overlapping(episodes: list[tuple[int, int]], first: int, rows: int) -> list[tuple[int, int]]:
    return [one for one in episodes if one[0] < first + rows and one[1] > first]


def test_four_clean_weeks_are_quiet() -> None:
    episodes, _ = told(plant())
    assert len(episodes) <= 1


FAULTS = [
    ("standby_waste", 2 * DAY, lambda used: np.where(used < 10.0, used + 5.0, used)),
    ("level_shift", 3 * DAY, lambda used: 1.3 * used),
    ("drift", 6 * DAY, lambda used: used * np.linspace(1.0, 1.5, len(used))),
    ("stuck_sensor", 24, lambda used: np.full(len(used), used[0])),
    ("missing_data", 16, lambda used: 0.0 * used),
]


@pytest.mark.parametrize(("cause", "rows", "fault"), FAULTS, ids=[one[0] for one in FAULTS])
def test_a_fault_is_found_named_and_ends(cause: str, rows: int, fault: Callable[[Floats], Floats]) -> None:
    episodes, causes = told(with_fault(NIGHT, rows, fault))
    found = overlapping(episodes, NIGHT, rows)
    assert found
    named = [one for one in causes[NIGHT : NIGHT + rows] if one]
    assert max(set(named), key=named.count) == cause
    assert found[-1][1] < NIGHT + rows + DAY
    assert len(episodes) - len(found) <= 1


def test_a_level_shift_is_one_episode_through_production() -> None:
    episodes, _ = told(with_fault(NIGHT, 3 * DAY, lambda used: 1.35 * used))
    found = overlapping(episodes, NIGHT, 3 * DAY)
    assert max(end - first for first, end in found) > 1.5 * DAY


def test_single_spikes_in_a_quiet_night_are_found_when_they_come_again() -> None:
    spikes = np.zeros(40)
    spikes[[4, 11, 19, 27, 33]] = 30.0
    first = 12 * DAY + 4
    episodes, causes = told(with_fault(first, 40, lambda used: used + spikes))
    assert overlapping(episodes, first, 40)
    assert "spike" in causes[first : first + 44]


def test_one_spike_alone_is_no_alarm() -> None:
    first = 12 * DAY + 10
    episodes, _ = told(with_fault(first, 1, lambda used: used + 30.0))
    assert not overlapping(episodes, first, 3)


def test_a_level_that_stays_is_taken_for_normal_after_a_while() -> None:
    episodes, _ = told(with_fault(NIGHT, 18 * DAY, lambda used: 1.4 * used))
    days = sum(end - first for first, end in episodes) / DAY
    assert 5.0 < days < 10.0


def test_a_baseline_says_what_was_expected_and_by_how_much_the_rest_is_too_high() -> None:
    rows = with_fault(NIGHT, 2 * DAY, lambda used: np.where(used < 10.0, used + 5.0, used))
    follower = learnt().follow(trained())
    later = rows.cut(TRAIN, TRAIN + NIGHT + 18)
    for ts_s, row in zip(later.ts_s, later.values, strict=True):
        follower.take(float(ts_s), row)
    view = follower.explain().views[0]
    assert follower.state == "idle"
    assert view.expected == pytest.approx(QUIET_KWH, rel=0.15)
    assert view.low < view.expected < view.high < view.value
    assert view.window_value == pytest.approx(QUIET_KWH + 5.0, rel=0.2)


def test_a_meter_at_work_is_expected_to_take_what_work_takes() -> None:
    follower, rows = learnt().follow(trained()), plant().cut(TRAIN)
    busy = next(at for at in range(len(rows)) if rows.values[at, 1] > 50.0)
    for ts_s, row in zip(rows.ts_s[: busy + 1], rows.values[: busy + 1], strict=True):
        follower.take(float(ts_s), row)
    view = follower.explain().views[0]
    assert follower.state == "running"
    assert view.expected == pytest.approx(QUIET_KWH + BUSY_KWH, rel=0.15)
    assert view.low < view.value < view.high


def test_a_refit_in_the_middle_of_a_fault_does_not_end_it() -> None:
    rows, model = with_fault(NIGHT, 3 * DAY, lambda used: 1.35 * used), learnt()
    refitted = BaselineModel.learn(rows.cut(0, TRAIN + 7 * DAY), TUNING)
    middle = TRAIN + NIGHT + DAY
    follower, scores = model.follow(trained()), []
    for at in range(TRAIN, middle + 8):
        if at == middle:
            follower = refitted.follow(follower)
        scores.append(follower.take(float(rows.ts_s[at]), rows.values[at]))
    assert scores[-9] >= 1.0
    assert min(scores[-8:]) >= model.patience.calm_ratio


def test_a_missing_reading_says_nothing_and_changes_nothing() -> None:
    rows, follower = plant(), learnt().follow(trained())
    assert np.isnan(follower.take(float(rows.ts_s[TRAIN]), np.array([0.0, np.nan])))
    assert follower.explain().views == ()
    assert follower.take(float(rows.ts_s[TRAIN + 1]), rows.values[TRAIN + 1]) < 1.0


def test_a_meter_that_never_moved_in_training_may_go_on_so() -> None:
    values = plant().values.copy()
    values[:, 1] = 7.0
    rows = Rows(plant().metrics, plant().ts_s, values)
    model = BaselineModel.learn(rows.cut(0, TRAIN), TUNING)
    assert model.score(rows.cut(0, TRAIN + DAY))[-DAY:].max() < 1.0


def test_a_stored_baseline_scores_as_before_and_a_broken_one_is_refused() -> None:
    model = learnt()
    arrays, facts = model.pack()
    again = BaselineModel.unpack(arrays, facts)
    rows = plant().cut(TRAIN, TRAIN + 3 * DAY)
    np.testing.assert_array_equal(again.score(rows), model.score(rows))
    with pytest.raises(WrongModelError, match="train again"):
        BaselineModel.unpack({**arrays, "spreads": arrays["spreads"][1:]}, facts)
    with pytest.raises(WrongModelError, match="train again"):
        BaselineModel.unpack(arrays, {**facts, "setting": {}, "expected": 3})


def test_too_little_or_no_energy_is_refused_in_words() -> None:
    with pytest.raises(TooFewRowsError, match="too few to learn a meter's week"):
        BaselineModel.learn(plant().cut(0, 3 * DAY), TUNING)
    with pytest.raises(TooFewRowsError, match="kWh"):
        BaselineModel.learn(Rows(("pressure_bar",), plant().ts_s, plant().values[:, :1]), TUNING)


def columns(*names: str, step_s: float = 900.0) -> Rows:
    """Return rows in which every column is a number that wanders, but flags, which are 0 or 1."""
    draw = np.random.default_rng(1)
    values = [
        draw.integers(0, 2, 500).astype(float) if name.startswith("is_") else draw.uniform(1, 9, 500)
        for name in names
    ]
    return Rows(names, step_s * np.arange(500), np.stack(values, axis=1))


@pytest.mark.parametrize(
    ("rows", "metered"),
    [
        (columns("usage_kwh"), True),
        (columns("energy_kwh", "outdoor_temp_f", "is_open"), True),
        (columns("power_kw", "produced_count"), True),
        (columns("power_kw", step_s=60.0), False),
        (columns("usage_kwh", "flow_m3h", "pressure_bar"), False),
        (columns("power_kw", "energy_kwh"), False),
        (columns("temperature_c"), False),
    ],
)
def test_metered_energy_is_told_from_a_machine_s_sensors(rows: Rows, metered: bool) -> None:  # noqa: FBT001
    assert supports(rows) is metered
