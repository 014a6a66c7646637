"""When scoring counts as keeping up, by what the detector has said."""

from datetime import UTC, datetime, timedelta

from broker.messages import Percentiles, Scoring
from enms.bench.sustain_scoring import summed_up

START = datetime(2026, 3, 4, 12, tzinfo=UTC)
SENT = 1000


def said(second: int, rows: int, p50_ms: float = 20.0, p99_ms: float = 80.0) -> Scoring:
    return Scoring(
        ts=START + timedelta(seconds=second),
        machines=10,
        rows=rows,
        unscored=0,
        opened=0,
        refits=0,
        refits_waiting=0,
        oldest_ms=float(second),
        hops={"measured_scored": Percentiles(p50_ms=p50_ms, p95_ms=p99_ms, p99_ms=p99_ms)},
    )


def why_not(*every: Scoring) -> str:
    return summed_up(every, SENT, (START + timedelta(seconds=10)).timestamp()).why_not


def test_all_rows_scored_in_time_is_keeping_up() -> None:
    assert why_not(said(5, 500, p99_ms=4000.0), said(15, 800), said(20, SENT)) == ""


def test_rows_that_were_not_scored_are_counted_and_so_are_those_scored_twice() -> None:
    assert why_not(said(15, 999)) == "1 rows were not scored"
    assert why_not(said(15, 1003)) == "3 rows were scored twice"


def test_one_minute_that_lags_is_not_keeping_up() -> None:
    assert why_not(said(15, 400, p99_ms=1200.0), said(20, SENT)) == "scoring lag p99 1,200 ms"


def test_what_was_before_the_load_had_settled_does_not_count_in_a_long_run() -> None:
    start = [said(second, 1, p99_ms=3000.0) for second in range(70)]
    assert why_not(*start, said(71, 500), said(80, SENT)) == ""
    assert why_not(*start, said(71, 500, p99_ms=1200.0), said(80, SENT)) == "scoring lag p99 1,200 ms"


def test_a_lag_that_grows_is_not_keeping_up_however_short() -> None:
    slower = [said(second, SENT, p50_ms=10.0 * second) for second in range(10, 80)]
    assert why_not(*slower) == "the scoring lag was growing"


def test_a_detector_that_says_nothing_of_its_lag_is_not_believed() -> None:
    assert why_not(said(5, SENT)) == "the detector did not say how it keeps up"


def test_the_longest_wait_since_the_load_settled_is_told() -> None:
    found = summed_up(
        [said(5, 1), said(40, 2), said(20, SENT)], SENT, (START + timedelta(seconds=10)).timestamp()
    )
    assert found.oldest_ms == 40.0
