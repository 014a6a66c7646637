"""How a benchmark says what it found."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from enms.bench import processes
from enms.bench.history import POINTS, SPIKE, Filled, WrongAnswerError, check_answer
from enms.bench.lag import LagWatch
from enms.bench.report import Report, Result
from enms.bench.sustain import next_machines
from enms.bench.truth import Load
from gateway.store.bulk import Bulk


@pytest.mark.parametrize(
    ("figure", "floor", "goal", "verdict"),
    [
        (0.7, 0.35, 0.6, "goal reached"),
        (0.4, 0.35, 0.6, "above the floor"),
        (0.3, 0.35, 0.6, "MISSED"),
        (40, 300, 50, "goal reached"),
        (51, 300, 50, "above the floor"),
        (301, 300, 50, "MISSED"),
        (0, 0, 0, "goal reached"),
        (1, 0, 0, "MISSED"),
        (1, None, None, ""),
        (12, None, 12, "goal reached"),
        (11, None, 12, "below the goal"),
    ],
)
def test_a_figure_is_judged_by_what_was_promised(
    figure: float, floor: float | None, goal: float | None, verdict: str
) -> None:
    assert Result("what", figure, "unit", floor, goal).verdict == verdict


def test_the_last_line_is_one_object_with_machine_and_results(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("ingest", remarks=["something was left out"])
    report.add("vs_node_red", 1.23456, "ratio", promised=(1.2, 2))
    report.add("readings_per_s", 123_456.7, "readings/s")
    report.print(as_json=True)
    shown = capsys.readouterr().out
    told = json.loads(shown.splitlines()[-1])
    assert "something was left out" in shown
    assert told["bench"] == "ingest"
    assert set(told["machine"]) == {
        *("cpu", "cores", "memory", "os", "python", "mosquitto", "postgresql", "date")
    }
    assert "unknown" not in told["machine"].values()
    figures = {
        one["what"]: (one["figure"], one["unit"], one["floor"], one["goal"]) for one in told["results"]
    }
    assert figures == {
        "vs_node_red": (1.235, "ratio", 1.2, 2),
        "readings_per_s": (123_457, "readings/s", None, None),
    }


def seen(watch: LagWatch, load: Load, lags_ms: list[float]) -> None:
    """One message a second, each with its lag."""
    for second, lag_ms in enumerate(lags_ms):
        at = load.base_ms / 1000 + second
        watch.seen.append((datetime.fromtimestamp(at, UTC), at + lag_ms / 1000))


def watched(lags_ms: list[float]) -> tuple[LagWatch, Load]:
    load = Load(1, 1, 1_772_625_599_000, 1000)
    watch = LagWatch(Bulk("postgresql://nobody@localhost/none"))
    seen(watch, load, lags_ms)
    return watch, load


def test_the_lag_leaves_out_the_seconds_in_which_machines_are_made_known() -> None:
    watch, load = watched([900, 800, *[10] * 98])
    assert watch.lag(load, after_s=2).p99_ms == pytest.approx(10, abs=0.1)
    assert watch.lag(load).max_ms == pytest.approx(900, abs=0.1)
    assert (watch.lag(load, after_s=2).messages, watch.lag(load).messages) == (98, 100)


def test_a_lag_that_becomes_longer_and_longer_is_growing() -> None:
    growing, load = watched([10.0 * second for second in range(100)])
    assert growing.lag(load).growing
    steady, load = watched([900, 900, *[100, 20] * 49])
    assert not steady.lag(load).growing


def test_nothing_seen_is_no_good_lag() -> None:
    watch, load = watched([])
    assert watch.lag(load).p99_ms == float("inf")


def searched(begin: int, bearable: int) -> list[tuple[int, bool]]:
    runs: list[tuple[int, bool]] = []
    machines: int | None = begin
    while machines is not None and len(runs) < 25:
        runs.append((machines, machines <= bearable))
        machines = next_machines(runs)
    return runs


@pytest.mark.parametrize("bearable", [100, 333, 4000, 10_000, 31_000])
@pytest.mark.parametrize("begin", [50, 1000, 10_000])
def test_the_search_ends_near_the_most_that_can_be_held(bearable: int, begin: int) -> None:
    most = max(tried for tried, held in searched(begin, bearable) if held)
    assert most <= bearable <= 1.26 * most


def test_the_search_gives_up_where_even_few_machines_are_too_many() -> None:
    runs = searched(1000, 0)
    assert not any(held for _, held in runs)
    assert min(runs)[0] < 100


FILLED = Filled.of(10, datetime(2026, 3, 4, 12, 34, 56, tzinfo=UTC))
SPAN = (FILLED.start, FILLED.start + timedelta(days=10))


def answered(**changes: Any) -> httpx.Response:
    width_s = 900
    series = {
        "bucket_s": width_s,
        "ts": list(range(960)),
        "count": [width_s] * 960,
        "max": [SPIKE, *[60.0] * 959],
    }
    return httpx.Response(200, json={"series": [series | changes]})


def test_a_whole_answer_with_the_spike_is_right() -> None:
    check_answer(answered(), *SPAN, FILLED)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"max": [60.0] * 960}, "spike"),
        ({"count": [900] * 950 + [0] * 10}, "readings"),
        ({"ts": [0] * (POINTS + 1)}, "points"),
        ({"ts": [0] * 5}, "points"),
    ],
)
def test_an_answer_with_something_missing_is_wrong(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(WrongAnswerError, match=why):
        check_answer(answered(**changes), *SPAN, FILLED)


def test_a_spike_outside_of_what_was_asked_must_not_be_seen() -> None:
    day = FILLED.start, FILLED.start + timedelta(days=1)
    counts = {"bucket_s": 100, "count": [100] * 864, "ts": [0] * 864}
    check_answer(answered(**counts, max=[60.0] * 864), *day, FILLED)
    with pytest.raises(WrongAnswerError, match="spike"):
        check_answer(answered(**counts), *day, FILLED)


def test_a_refused_question_is_told() -> None:
    with pytest.raises(WrongAnswerError, match="503"):
        check_answer(httpx.Response(503, text="the database is away"), *SPAN, FILLED)


def test_the_cost_of_a_process_has_its_childrens_in_it() -> None:
    work = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ninput()"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {work!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        family, alone = processes.cost(process.pid), processes.cost(process.pid, children=False)
        process.communicate(b"\n")
    assert family.cpu_s >= 0.3 > alone.cpu_s
    assert family.memory_mib > alone.memory_mib > 1


def test_the_peak_of_memory_begins_again_when_it_is_forgotten() -> None:
    block = bytearray(80_000_000)
    high = processes.peak_memory_mib(os.getpid())
    del block
    processes.forget_peak(os.getpid())
    assert processes.peak_memory_mib(os.getpid()) < high - 60
