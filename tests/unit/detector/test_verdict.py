from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.models import Patience
from detector.verdict import Seen, Told, Verdict, anomaly_id, resumed, step, vanish

PATIENCE = Patience(rows=3, least_s=0.0, calm_ratio=0.9, calm_s=6.0, hole_s=120.0, window_s=30.0)
FADING = replace(PATIENCE, fade_ratio=0.3)


def run(
    scores: list[float], period_s: float = 1.0, patience: Patience = PATIENCE, **more: float
) -> tuple[Verdict, list[Told]]:
    verdict, told = Verdict("press-7"), list[Told]()
    for number, score in enumerate(scores):
        seen = Seen(1000.0 + number * period_s, score, "power_kw", more.get("excess_kw"))
        verdict, new = step(verdict, seen, patience)
        told += new
    return verdict, told


def test_an_episode_opens_after_three_rows_and_counts_from_the_first() -> None:
    assert run([0.5, 1.2, 1.3])[1] == []
    _, (opened,) = run([0.5, 1.2, 1.3, 1.1])
    assert (opened.phase, opened.episode.started_s, opened.ts_s) == ("opened", 1001.0, 1003.0)
    assert opened.episode.highest == 1.3


def test_a_single_high_row_is_no_episode() -> None:
    assert run([0.5, 9.0, 0.5, 9.0, 9.0, 0.5])[1] == []


def test_it_closes_only_after_calm_has_lasted() -> None:
    _, told = run([2.0] * 4 + [0.5] * 6 + [1.0] + [0.5] * 7)
    assert [one.phase for one in told] == ["opened", "closed"]
    assert told[1].ts_s == 1017.0


def test_between_the_closing_line_and_the_threshold_it_stays_open() -> None:
    verdict, _ = run([2.0] * 4 + [0.95] * 100)
    assert verdict.episode is not None


def test_it_is_told_again_every_30_s_and_at_once_when_severity_rises() -> None:
    _, told = run([1.2] * 95)
    assert [one.ts_s - 1000.0 for one in told] == [2.0, 32.0, 62.0, 92.0]
    _, told = run([1.2] * 5 + [1.6] * 5 + [4.0] * 5)
    assert [(one.phase, one.episode.severity) for one in told] == [
        ("opened", "info"),
        ("updated", "warning"),
        ("updated", "critical"),
    ]


def test_a_hole_closes_the_episode_as_of_its_last_row() -> None:
    verdict, _ = run([2.0] * 5)
    verdict, (closed,) = step(verdict, Seen(9000.0, 2.0, "power_kw"), PATIENCE)
    assert (closed.phase, closed.ts_s) == ("closed", 1004.0)
    assert verdict.episode is None
    assert verdict.above_rows == 1


def test_data_that_vanishes_closes_the_episode_once() -> None:
    verdict, _ = run([2.0] * 5)
    verdict, (closed,) = vanish(verdict)
    assert closed.phase == "closed"
    assert vanish(verdict)[1] == []


def test_rows_without_a_score_change_nothing() -> None:
    nan = float("nan")
    verdict, told = run([2.0, nan, 2.0, nan, 2.0])
    assert [one.phase for one in told] == ["opened"]
    later, more = step(verdict, Seen(1005.0, nan, "power_kw"), PATIENCE)
    assert more == []
    assert later == replace(verdict, last_s=1005.0)


def test_excess_energy_is_power_over_time() -> None:
    verdict, _ = run([2.0] * 361, period_s=10.0, excess_kw=3.0)
    assert verdict.episode is not None
    assert verdict.episode.excess_kwh == pytest.approx(3.0)


def test_excess_energy_is_the_same_when_not_every_row_tells_it() -> None:
    verdict, told = Verdict("press-7"), list[Told]()
    for number in range(361):
        excess_kw = 3.0 if number < 3 or number % 6 == 0 else None
        verdict, new = step(verdict, Seen(10.0 * number, 2.0, "power_kw", excess_kw), PATIENCE)
        told += new
    assert verdict.episode is not None
    assert verdict.episode.excess_kwh == pytest.approx(3.0)


def test_the_id_follows_from_machine_start_and_metric_alone() -> None:
    assert anomaly_id("a", 5.0, "power_kw") == anomaly_id("a", 5.0000001, "power_kw")
    assert len({anomaly_id(m, s, k) for m in "ab" for s in (1.0, 2.0) for k in ("x", "y")}) == 8


steps = st.lists(
    st.tuples(st.floats(0.001, 300.0), st.one_of(st.just(float("nan")), st.floats(0.0, 10.0))), max_size=80
)


@given(steps)
def test_every_run_opens_and_closes_in_turn_with_one_id(rows: list[tuple[float, float]]) -> None:
    verdict, told, ts_s = Verdict("m"), list[Told](), 0.0
    for gap_s, score in rows:
        ts_s += gap_s
        verdict, new = step(verdict, Seen(ts_s, score, "power_kw"), PATIENCE)
        told += new
    told += vanish(verdict)[1]
    current = None
    for one in told:
        if one.phase == "opened":
            assert current is None
            current = one.episode.anomaly_id
        assert one.episode.anomaly_id == current
        assert one.ts_s >= one.episode.started_s
        if one.phase == "closed":
            current = None
    assert current is None


def test_what_was_above_before_a_change_over_counts_no_more() -> None:
    verdict, told = run([2.0, 2.0])
    assert (told, verdict.above_rows) == ([], 2)
    verdict, told = step(verdict, Seen(1002.0, float("nan"), "power_kw", held=True), PATIENCE)
    assert (told, verdict.above_rows, verdict.above_s) == ([], 0, None)


def test_an_open_episode_is_held_through_a_change_over() -> None:
    verdict, _ = run([2.0] * 5)
    held, told = step(verdict, Seen(1005.0, float("nan"), "power_kw", held=True), PATIENCE)
    assert told == []
    assert held.episode == verdict.episode


def test_an_episode_opens_once_patience_has_passed_however_many_rows_come() -> None:
    verdict, opened = Verdict("m"), list[float]()
    for second in range(120):
        verdict, told = step(verdict, Seen(float(second), 2.0, "power_kw"), replace(PATIENCE, least_s=60.0))
        opened += [one.ts_s for one in told if one.phase == "opened"]
    assert opened == [60.0]


def test_a_large_fault_is_over_when_it_has_faded_though_something_stays() -> None:
    faded = [1.5, 5.0, 20.0, 20.0] + [4.0] * 60
    assert run(faded)[0].episode is not None, "unless the model says that faults fade"
    verdict, told = run(faded, patience=FADING)
    assert [one.phase for one in told] == ["opened", "closed"]
    assert told[1].ts_s == 1010.0
    assert told[1].episode.left == verdict.left == 4.0


def test_what_a_fault_left_behind_opens_no_other_until_it_is_gone_or_rises() -> None:
    faded = [20.0] * 4 + [4.0] * 20
    assert len(run(faded + [5.9] * 20, patience=FADING)[1]) == 2
    assert run(faded + [6.0] * 3, patience=FADING)[1][-1].phase == "opened"
    assert run(faded + [0.5] + [1.2] * 3, patience=FADING)[1][-1].phase == "opened"


def test_what_a_fault_left_behind_is_known_after_a_restart() -> None:
    before, told = run([20.0] * 4 + [4.0] * 20, patience=FADING)
    after = resumed("press-7", told[-1].episode, 1023.0)
    assert (after.episode, after.left, after.suspicious) == (None, before.left, True)
    assert step(after, Seen(1024.0, 5.0, "power_kw"), FADING)[1] == []
