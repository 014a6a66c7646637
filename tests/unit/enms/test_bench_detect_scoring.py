"""The figures of `enms bench detect`, by hand and against another's."""

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from enms.bench import detect_data, detect_nab
from enms.bench.detect_halves import drawn
from enms.bench.detect_points import Counts, Events, auc, spans

MINUTE = np.timedelta64(1, "m")
START = np.datetime64("2026-03-04T12:00")


def flags(text: str) -> np.ndarray:
    return np.array([one == "x" for one in text])


def nab_file(scores: list[float], *windows: tuple[int, int]) -> detect_nab.Series:
    """A file of a row a minute, long enough that the probation (15 %) is over before the given scores."""
    before = math.ceil(0.15 * len(scores) / 0.85) + 1
    times = START + np.arange(before + len(scores)) * MINUTE
    labelled = [(times[before + first], times[before + last]) for first, last in windows]
    return detect_nab.series(times, np.array([0.0] * before + scores), labelled)


def test_rows_are_counted_by_what_they_are_and_what_was_said() -> None:
    found = Counts.of(flags("..xxxx...."), flags(".xx..x...."))
    assert found == Counts(hits=2, false_alarms=1, misses=2, calm=5)
    assert found.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert found.far_pct == pytest.approx(100 / 6)
    assert found.mar_pct == pytest.approx(50)
    assert found.balanced_accuracy == pytest.approx((0.5 + 5 / 6) / 2)


def test_files_are_pooled_row_by_row_not_averaged() -> None:
    long, short = Counts(hits=90, misses=10), Counts(misses=1, calm=3)
    assert Counts.pooled([long, short]).f1 == pytest.approx(180 / 191)


def test_a_rate_of_nothing_is_not_a_number() -> None:
    assert math.isnan(Counts(calm=4, false_alarms=1).mar_pct)
    assert math.isnan(Counts(hits=4).far_pct)


def test_the_area_under_the_curve_is_scikit_learns_ties_included() -> None:
    draw = np.random.default_rng(4)
    strange = draw.random(500) < 0.3
    scores = np.round(draw.normal(size=500) + strange, 1)
    assert auc(strange, scores) == pytest.approx(roc_auc_score(strange, scores), abs=1e-12)


def test_a_row_without_a_score_ranks_lowest() -> None:
    assert auc(flags("x.x."), np.array([3.0, 1.0, np.nan, 2.0])) == pytest.approx(0.5 + 0.5 * 0.25)
    assert math.isnan(auc(flags("...."), np.arange(4.0)))


def test_an_episode_that_overlaps_a_fault_finds_it_and_any_other_is_unrelated() -> None:
    assert spans(flags("xx..x")) == [(0, 1), (4, 4)]
    strange, alarm = flags("..xxx....xx...xx"), flags("x...xxx.x.x.....")
    assert Events.of(spans(strange), alarm) == Events(events=3, found=2, unrelated=2)


def test_labels_within_half_a_day_are_one_fault() -> None:
    hours = np.datetime64("2026-03-04T00:00") + np.arange(80) * np.timedelta64(1, "h")
    strange = np.zeros(80, bool)
    strange[[10, 11, 23, 36, 60, 61]] = True
    table = detect_data.Table(("usage_kwh",), hours, np.zeros((80, 1)))
    recorded = detect_data.Recorded("meter.csv", table, train=5, strange=strange)
    assert recorded.faults == [(5, 18), (31, 31), (55, 56)]


def test_no_alarm_scores_0_and_an_alarm_at_the_beginning_of_each_window_100() -> None:
    scores = [0.0] * 40
    files = [nab_file(scores, (10, 19), (30, 34))]
    standard = detect_nab.PROFILES["standard"]
    assert detect_nab.score(files, 0.5, standard) == pytest.approx(0.0)
    scores[10] = scores[30] = 1.0
    assert detect_nab.score([nab_file(scores, (10, 19), (30, 34))], 0.5, standard) == pytest.approx(100.0)


def test_a_later_alarm_earns_what_the_sigmoid_says_and_only_the_first_counts() -> None:
    scores = [0.0] * 40
    scores[17] = scores[18] = 1.0  # three rows before the end of a window of ten
    earned = nab_file(scores, (10, 19)).earned(0.5, detect_nab.PROFILES["standard"])

    def sigmoid(place: float) -> float:
        return 2 / (1 + math.exp(5 * place)) - 1

    assert earned == pytest.approx(sigmoid(-0.3) / sigmoid(-1.0))


def test_false_alarms_cost_little_right_behind_a_window_and_all_far_from_one() -> None:
    near, far, before = [0.0] * 200, [0.0] * 200, [0.0] * 200
    near[20] = far[190] = before[0] = 1.0
    standard, low_fp = detect_nab.PROFILES["standard"], detect_nab.PROFILES["low_fp"]
    window = (10, 19)
    assert nab_file(far, window).earned(0.5, standard) == pytest.approx(-1 - 0.11)
    assert nab_file(far, window).earned(0.5, low_fp) == pytest.approx(-1 - 0.22)
    assert nab_file(before, window).earned(0.5, standard) == pytest.approx(-1 - 0.11)
    assert -1 - 0.11 < nab_file(near, window).earned(0.5, standard) < -1


def test_rows_of_the_probation_are_never_alarms() -> None:
    scores = np.zeros(100)
    scores[:15] = 9.0
    found = detect_nab.series(START + np.arange(100) * MINUTE, scores, [])
    assert found.alarms(1.0) == 0
    assert detect_nab.probation(100) == 15
    assert detect_nab.probation(1_000_000) == 750


def test_the_best_threshold_is_at_least_as_good_as_any_that_is_tried() -> None:
    draw = np.random.default_rng(7)
    files = [nab_file(draw.random(300).tolist(), (50, 80), (200, 220)) for _ in range(3)]
    low_fn = detect_nab.PROFILES["low_fn"]
    best, threshold = detect_nab.best(files, low_fn)
    assert best == max(detect_nab.score(files, one, low_fn) for one in detect_nab.candidates(files))
    assert detect_nab.score(files, threshold, low_fn) == best
    assert best > 0


def test_halves_are_halves_and_the_same_every_time() -> None:
    assert {int(half.sum()) for half in drawn(17)} == {8}
    assert all((one == other).all() for one, other in zip(drawn(9), drawn(9), strict=True))


def test_a_labelled_file_is_read_without_its_labels_among_the_sensors(tmp_path: Path) -> None:
    text = "datetime;a;b;anomaly;changepoint\n"
    text += "".join(f"2026-03-04 12:00:0{at};{at};;{at > 4};0.0\n" for at in range(9))
    (tmp_path / "1.csv").write_text(text.replace("True", "1.0").replace("False", "0.0"))
    (tmp_path / "2.csv").write_text("datetime;a\n2026-03-04 12:00:00;1\n")
    (only,) = detect_data.skab(tmp_path, train=3)
    assert (only.name, only.table.columns, len(only.rest)) == ("1.csv", ("a", "b"), 6)
    assert only.faulty.tolist() == [False, False, True, True, True, True]
    assert np.isnan(only.table["b"]).all()
    ts, row = next(only.rest.records())
    assert (ts.isoformat(), row["a"]) == ("2026-03-04T12:00:03+00:00", 3.0)


def test_a_file_that_is_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "steel.csv").write_text("timestamp,usage_kwh,anomaly\n2026-03-04 12:00:00,much,0\n")
    with pytest.raises(detect_data.BadDataError, match=r"steel\.csv holds something else.*'much'"):
        detect_data.energy(tmp_path / "steel.csv")


def test_fresh_faults_are_put_behind_the_part_that_is_learnt_from(tmp_path: Path) -> None:
    times = np.datetime64("2026-03-02T00:15") + np.arange(14_000) * np.timedelta64(15, "m")
    days = ["Weekday"] * 5 + ["Weekend"] * 2
    lines = [
        f"{ts.item():%Y-%m-%d %H:%M:%S},{3 + at % 96 / 10},{days[at // 96 % 7]},Light_Load"
        for at, ts in enumerate(times)
    ]
    path = tmp_path / "meter.csv"
    path.write_text("\n".join(["timestamp,usage_kwh,week_status,load_type", *lines]))
    meter = detect_data.clean_meter(path)
    assert meter.columns == ("usage_kwh", "week_status", "load_type")
    assert (meter["week_status"][0], meter["week_status"][96 * 5], meter["load_type"][0]) == (1.0, 0.0, 0.0)
    one, other = detect_data.injected(meter, 0), detect_data.injected(meter, 1)
    assert one.train == 4200
    assert one.strange is not None
    assert not one.strange[:4200].any()
    unlabelled = one.table["usage_kwh"][~one.strange] / meter["usage_kwh"][~one.strange]
    assert 1.0 <= unlabelled.min() <= unlabelled.max() < 1.06  # where a slow rise is not to be seen yet
    assert 10 <= len(one.faults) <= 12
    assert one.faults != other.faults
    assert len(detect_data.clean_meter(path, since=times[7])) == 14_000 - 7
