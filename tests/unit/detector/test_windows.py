from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector.features import window_stats
from detector.rows import Rows, thinned, usual_period_s
from detector.tuning import Tuning
from detector.windows import Joiner, LiveRow, Window, rows_of


def test_a_whole_message_is_a_row_at_once() -> None:
    joiner = Joiner()
    assert joiner.take(1.0, {"a": 1.0, "b": 2.0}) == [LiveRow(1.0, {"a": 1.0, "b": 2.0})]
    assert joiner.take(2.0, {"a": 3.0, "b": 4.0}) == [LiveRow(2.0, {"a": 3.0, "b": 4.0})]


def test_metrics_sent_one_by_one_are_joined_to_one_row_a_round() -> None:
    joiner = Joiner()
    rows = []
    for second in range(10, 15):
        for at, metric in enumerate("abc"):
            rows += joiner.take(second + at / 100, {metric: float(second)})
    assert [row.values for row in rows[-4:]] == [dict.fromkeys("abc", float(s)) for s in range(11, 15)]


def test_a_slow_metric_keeps_its_last_value_but_not_for_ever() -> None:
    joiner = Joiner()
    joiner.take(0.0, {"a": 1.0, "slow": 7.0})
    rows = [row for second in range(1, 100) for row in joiner.take(float(second), {"a": 1.0})]
    by_time = {row.ts_s: row.values for row in rows}
    assert by_time[50.0] == {"a": 1.0, "slow": 7.0}
    assert by_time[99.0] == {"a": 1.0}


def test_a_late_or_doubled_reading_is_counted_and_dropped() -> None:
    joiner = Joiner()
    joiner.take(10.0, {"a": 1.0})
    assert joiner.take(9.0, {"a": 5.0}) == []
    assert joiner.take(10.0, {"a": 5.0}) == []
    assert joiner.late == 2


@given(st.lists(st.tuples(st.floats(0.0, 1e4), st.sampled_from("abc"), st.floats(-1e6, 1e6)), max_size=200))
def test_whatever_arrives_rows_rise_in_time(readings: list[tuple[float, str, float]]) -> None:
    joiner = Joiner()
    rows = [row for ts_s, metric, value in readings for row in joiner.take(ts_s, {metric: value})]
    assert all(earlier.ts_s < later.ts_s for earlier, later in pairwise(rows))
    assert all(row.values for row in rows)


def test_a_window_holds_its_span_and_no_more() -> None:
    window = Window(("a",))
    for second in range(2000):
        window.add(float(second), np.array([float(second)]), span_s=30.0)
    assert window.rows.ts_s.tolist() == [float(s) for s in range(1970, 2000)]
    assert window.rows.values[:, 0].tolist() == window.rows.ts_s.tolist()


def test_metrics_that_come_apart_at_one_time_are_one_row_once_all_are_known() -> None:
    joiner, rows = Joiner(), []
    for second in range(1, 5):
        for metric in ("a", "b", "c"):
            rows += joiner.take(float(second), {metric: float(second)})
    assert [(row.ts_s, sorted(row.values)) for row in rows] == [
        (1.0, ["a"]),
        (2.0, ["a", "b", "c"]),
        (3.0, ["a", "b", "c"]),
        (4.0, ["a", "b", "c"]),
    ]


def test_a_row_that_is_whole_like_the_one_before_needs_no_joining() -> None:
    joiner = Joiner()
    assert not joiner.whole(1.0, ("a", "b"), (1.0, 2.0)), "nothing is known yet"
    joiner.take(1.0, {"a": 1.0, "b": 2.0})
    assert joiner.whole(2.0, ("a", "b"), (3.0, 4.0))
    assert not joiner.whole(2.0, ("a", "b"), (3.0, 4.0)), "it is late"
    assert not joiner.whole(3.0, ("a",), (5.0,)), "b is missing"
    (row,) = joiner.take(4.0, {"a": 5.0}) or joiner.take(5.0, {"a": 6.0})
    assert row.values == {"a": 5.0, "b": 4.0}
    assert not joiner.whole(6.0, ("a", "b"), (7.0, 8.0)), "a row is open"


def test_history_is_joined_as_live_rows_are() -> None:
    rows = rows_of([(1.0, {"a": 1.0, "b": 2.0}), (2.0, {"a": 3.0, "b": 4.0})])
    assert rows.metrics == ("a", "b")
    assert rows.values.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert len(rows_of([])) == 0


@given(
    st.lists(st.floats(0.1, 20.0), min_size=1, max_size=60),
    st.data(),
)
def test_window_figures_equal_those_of_the_rows_in_the_window(gaps: list[float], data: st.DataObject) -> None:
    ts_s = np.cumsum(gaps)
    cells = st.one_of(st.floats(-1e3, 1e3), st.just(float("nan")))
    column = np.array(data.draw(st.lists(cells, min_size=len(ts_s), max_size=len(ts_s))))
    stats = window_stats(ts_s, column[:, None], span_s=30.0, rows_least=3)
    for at, now_s in enumerate(ts_s):
        inside = column[: at + 1][ts_s[: at + 1] > now_s - 30.0 + 0.0005]
        inside = inside[np.isfinite(inside)]
        assert stats.count[at, 0] == len(inside)
        if len(inside) >= 3:
            np.testing.assert_allclose(stats.mean[at, 0], inside.mean(), atol=1e-6)
            np.testing.assert_allclose(stats.spread[at, 0], inside.std(), atol=1e-3)
        else:
            assert np.isnan(stats.mean[at, 0])


def test_the_period_is_that_in_which_most_time_passes() -> None:
    day = 60.0 * np.arange(1440)
    live = day[-1] + 1.0 + np.arange(600)
    assert usual_period_s(np.concatenate([day, live])) == 60.0
    assert usual_period_s(np.concatenate([live[:300], live[300:] + 36_000.0])) == 1.0
    assert usual_period_s(np.array([5.0])) == 1.0


def test_rows_of_two_rates_are_thinned_to_the_slower() -> None:
    day = 60.0 * np.arange(1440)
    ts_s = np.concatenate([day, day[-1] + 1.0 + np.arange(600)])
    rows = thinned(Rows(("a",), ts_s, ts_s[:, None]), Tuning())
    assert len(rows) == 1450
    assert np.diff(rows.ts_s).min() >= 30.0


def test_too_many_rows_are_thinned_as_far_as_the_window_allows_and_then_cut() -> None:
    ts_s = np.arange(200_000.0)
    rows = thinned(Rows(("a",), ts_s, ts_s[:, None]), Tuning())
    assert len(rows) == Tuning().train_rows_most
    assert usual_period_s(rows.ts_s) == 10.0
    assert rows.ts_s[-1] >= 199_990.0
