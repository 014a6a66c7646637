"""From messages to scored rows: joined where a device sends metrics apart, all machines together."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from detector.fleet import Fleet, Start
from detector.live import BRIDGE_ROWS, Live
from detector.pace import MOST, WAIT_MOST_S, Pace
from detector.rows import Rows
from detector.training import fit
from detector.tuning import Tuning

METRICS = ("current_a", "power_kw", "temperature_c")
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
Reading = dict[str, float | str]


def past() -> Rows:
    """400 rows, a second apart, that end now."""
    noise = np.random.default_rng(0).standard_normal((400, 3))
    return Rows(METRICS, NOW.timestamp() - np.arange(400.0)[::-1], noise + np.array([70.0, 40.0, 45.0]))


@pytest.fixture
def live() -> Live:
    learnt = fit(past(), Tuning())
    live = Live(Fleet(Tuning(), refit_at_once=False))
    for name in ("press-7", "pump-1"):
        live.fleet.serve(name, Start(learnt.model, "1", learnt.facts, past().cut(360), learnt.used))
        live.machine(name).serve(learnt.model.metrics)
    return live


def send(live: Live, machine: str, second: int, *, late_s: float = 0.0, **readings: float | str) -> None:
    at = NOW + timedelta(seconds=second)
    body = {"ts": round(1000 * at.timestamp()), **readings}
    live.take(f"telemetry/{machine}", json.dumps(body).encode(), at + timedelta(seconds=late_s))


def whole(power_kw: float = 40.0, second: int = 0) -> Reading:
    wave = float(np.sin(second / 3.0))
    return {"temperature_c": 45.0 + wave, "current_a": 70.0 - wave, "power_kw": power_kw + wave}


def test_rows_of_all_machines_are_scored_together(live: Live) -> None:
    for second in (1, 2, 3):
        for machine in ("press-7", "pump-1"):
            send(live, machine, second, **whole())
    outcome = live.score()
    assert outcome.rows == 6
    assert sorted(outcome.newest_s) == [NOW.timestamp() + second for second in (1, 1, 2, 2, 3, 3)]
    assert live.score().rows == 0


def test_a_message_that_needs_no_joining_is_scored_as_one_that_does(live: Live) -> None:
    for second in range(1, 61):
        send(live, "press-7", second, **whole(40.0 + 0.1 * second, second))
        for metric, value in whole(40.0 + 0.1 * second, second).items():
            send(live, "pump-1", second, **{metric: value})
    live.score()
    score, _ = live.fleet.last("press-7")
    assert score > 0.5
    assert live.fleet.last("pump-1")[0] == pytest.approx(score, rel=1e-9)


def test_a_fault_is_news_of_its_machine(live: Live) -> None:
    for second in range(1, 41):
        send(live, "press-7", second, **whole(55.0))
        send(live, "pump-1", second, **whole())
    ((machine, news),) = live.score().news[:1]
    assert machine.machine == "press-7"
    assert news.told[0].phase == "opened"


def test_a_metric_that_is_missing_in_a_message_does_not_shift_the_others(live: Live) -> None:
    for second in range(1, 200):
        power_kw, wave = 40.0 + np.sin(second), np.cos(second)
        send(live, "press-7", second, power_kw=power_kw, current_a=70.0 + wave)
    assert live.score().rows == 199
    views = {view.metric: view.value for view in live.fleet.explain("press-7").views}
    assert (views["power_kw"], views["current_a"]) == (power_kw, 70.0 + wave)


def test_what_a_machine_says_of_itself_is_known_and_its_numbers_are_scored(live: Live) -> None:
    send(live, "press-7", 1, operating_mode="Idle", **whole())
    assert live.score().rows == 1
    assert live.machine("press-7").said == {"operating_mode": "Idle"}


def test_late_rows_and_rows_of_the_future_are_counted_and_not_scored(live: Live) -> None:
    send(live, "press-7", 1, late_s=7200.0, **whole())
    send(live, "press-7", 2, late_s=-600.0, **whole())
    assert live.score().rows == 0
    assert live.machine("press-7").not_scored == 2
    live.take("telemetry/press-7", b"{not json", NOW)
    assert live.score().rows == 0


def test_rows_of_a_machine_without_a_model_are_kept_for_its_first(live: Live) -> None:
    for second in range(1, BRIDGE_ROWS + 50):
        send(live, "fan-3", second, **whole())
    assert live.score().rows == 0
    fan = live.machine("fan-3")
    assert len(fan.recent) == BRIDGE_ROWS
    assert fan.recent[-1].ts_s == NOW.timestamp() + BRIDGE_ROWS + 49
    fan.serve(METRICS)
    assert not fan.recent


def test_an_episode_of_a_machine_that_went_silent_is_found(live: Live) -> None:
    for second in range(1, 41):
        send(live, "press-7", second, **whole(55.0))
    live.score()
    last_s = NOW.timestamp() + 40
    assert live.silent(last_s + 30.0) == []
    assert [one.machine for one in live.silent(last_s + 3600.0)] == ["press-7"]


def test_few_messages_are_scored_at_once_and_many_are_gathered() -> None:
    pace = Pace()
    assert pace.wait_s == 0.0
    for tick in range(100):
        pace.took(1, 1.0 * tick)
    assert pace.wait_s < 0.001
    for tick in range(100):
        pace.took(1000, 200.0 + 0.1 * tick)
    assert pace.wait_s == pytest.approx(WAIT_MOST_S)
    assert pace.most == MOST
