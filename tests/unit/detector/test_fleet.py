"""Machines in service: from raw rows to episodes and refits, alike however the rows are cut into passes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.fleet import Fleet, Start
from detector.lot import News
from detector.models import Patience
from detector.rows import Floats, Rows
from detector.training import fit
from detector.tuning import Tuning
from detector.verdict import Episode, Seen, Verdict, step
from detector.verdict_table import VerdictTable

METRICS = ("current_a", "power_kw", "temperature_c")
PATIENCE = Patience(rows=3, least_s=0.0, calm_ratio=0.9, calm_s=6.0, hole_s=120.0, window_s=30.0)
TUNING = Tuning()
Push = list[tuple[str, float, Floats]]


def rows(count: int, seed: int = 0, first_s: float = 0.0) -> Rows:
    """Load drives power and current; the temperature goes its own way."""
    noise = np.random.default_rng(seed)
    load = 1.0 + 0.1 * np.sin(np.arange(count) / 13.0) + 0.02 * noise.standard_normal(count)
    values = np.stack([70.0 * load, 40.0 * load, 45.0 + 0.0 * load], axis=1)
    return Rows(METRICS, first_s + np.arange(count), values + 0.2 * noise.standard_normal((count, 3)))


def start(seed: int = 0, count: int = 400, **more: object) -> Start:
    past = rows(count, seed)
    learnt = fit(past, TUNING)
    begun = Start(learnt.model, "1", learnt.facts, past.cut(count - 40), learnt.used)
    return replace(begun, **more)  # type: ignore[arg-type]


def live(machine: str, first: int, last: int, *, seed: int = 9, excess_kw: float = 0.0) -> Push:
    found = rows(last, seed)
    values = found.values + np.array([0.0, excess_kw, 0.0])
    return [(machine, float(at), values[at]) for at in range(first, last)]


def told(fleet: Fleet, pushed: Push) -> list[News]:
    return [news for _, _, news in fleet.push(pushed) if news is not None]


@pytest.fixture
def fleet() -> Fleet:
    made = Fleet(TUNING, price=0.25, refit_at_once=True)
    made.serve("press-7", start())
    return made


def test_a_fault_is_one_episode_with_its_energy_and_its_cost(fleet: Fleet) -> None:
    assert told(fleet, live("press-7", 400, 460)) == []
    news = told(fleet, live("press-7", 460, 520, excess_kw=9.0))
    closing = told(fleet, live("press-7", 520, 620))
    phases = [one.phase for each in [*news, *closing] for one in each.told]
    assert (phases[0], phases[-1], phases.count("opened")) == ("opened", "closed", 1)
    episode = closing[-1].told[-1].episode
    assert news[0].explanation.views[0].metric == episode.metric == "power_kw"
    assert episode.excess_kwh == pytest.approx(9.0 * 60 / 3600, rel=0.4)
    assert episode.cost == pytest.approx(0.25 * (episode.excess_kwh or 0.0))


def test_cutting_rows_into_passes_in_another_way_changes_nothing() -> None:
    every = [
        row
        for at in range(400, 640)
        for name, seed in (("a", 5), ("b", 6))
        for row in live(name, at, at + 1, seed=seed, excess_kw=9.0 if 500 < at < 560 else 0.0)
    ]
    results = []
    for size in (1, 7, len(every)):
        fleet = Fleet(replace(TUNING, left_out_windows=1.0), refit_at_once=True)
        fleet.serve("a", start(1))
        fleet.serve("b", start(2))
        found = [one for at in range(0, len(every), size) for one in fleet.push(every[at : at + size])]
        results.append([(round(score, 9), held, news and news.told) for score, held, news in found])
        assert fleet.served("a").refits > 0
    assert results[0] == results[1] == results[2]


def test_a_refit_serves_two_windows_after_it_was_due_and_never_learns_what_was_strange() -> None:
    fleet = Fleet(replace(TUNING, left_out_windows=1.0), refit_at_once=True)
    fleet.serve("press-7", start())
    fleet.push(live("press-7", 400, 430))
    served = fleet.served("press-7")
    fleet.push(live("press-7", 430, 461, excess_kw=9.0))
    assert served.refit is not None
    assert served.refits == 0
    adopt_s = served.refit.adopt_s
    assert adopt_s == 459.0 + 2 * served.model.span_s
    fleet.push(live("press-7", 461, int(adopt_s), excess_kw=9.0))
    assert served.refits == 0
    fleet.push(live("press-7", int(adopt_s), int(adopt_s) + 2, excess_kw=9.0))
    assert (served.refits, served.named_version) == (1, "1.1")
    place = fleet.place("press-7")
    assert place is not None
    remembered = place[0].memory.rows(place[1])
    usual = remembered.ts_s < 430
    assert remembered.values[~usual, 1].max(initial=0.0) < 50.0
    assert usual.sum() == 430
    assert (~usual).sum() < 20, "only until the window has filled with what is strange"


def test_a_refit_that_would_learn_nothing_new_is_not_made() -> None:
    fleet = Fleet(replace(TUNING, left_out_windows=1000.0), refit_at_once=True)
    fleet.serve("press-7", start())
    fleet.push(live("press-7", 400, 700))
    assert fleet.served("press-7").refit is None
    assert fleet.served("press-7").refits == 0


def test_a_machine_in_maintenance_opens_nothing_and_what_is_open_is_closed(fleet: Fleet) -> None:
    told(fleet, live("press-7", 400, 450, excess_kw=9.0))
    assert fleet.is_open("press-7")
    closed = fleet.maintain("press-7", on=True)
    assert closed is not None
    assert [one.phase for one in closed.told] == ["closed"]
    assert fleet.state("press-7", {}) == "maintenance"
    assert told(fleet, live("press-7", 450, 550, excess_kw=9.0)) == []
    assert fleet.maintain("press-7", on=False) is None
    assert fleet.state("press-7", {}) != "maintenance"


def test_a_sensor_that_breaks_is_told_as_such(fleet: Fleet) -> None:
    broken = [(name, ts_s, np.array([*row[:2], np.nan])) for name, ts_s, row in live("press-7", 400, 500)]
    news = told(fleet, broken)
    assert news[0].explanation.cause == "missing_data"
    assert [view.metric for view in news[0].explanation.views if view.share] == ["temperature_c"]


def test_an_episode_that_was_open_before_a_restart_goes_on_with_its_id(fleet: Fleet) -> None:
    opened = told(fleet, live("press-7", 400, 450, excess_kw=9.0))[0].told[0].episode
    again = Fleet(TUNING, refit_at_once=True)
    again.serve("press-7", start(open_episode=(opened, 450.0)))
    closed = told(again, live("press-7", 451, 560))[-1].told[-1]
    assert (closed.phase, closed.episode.anomaly_id) == ("closed", opened.anomaly_id)


def test_a_newly_trained_model_goes_on_with_the_open_episode(fleet: Fleet) -> None:
    opened = told(fleet, live("press-7", 400, 450, excess_kw=9.0))[0].told[0].episode
    fleet.serve("press-7", start(3))
    assert fleet.is_open("press-7")
    assert told(fleet, live("press-7", 451, 560))[-1].told[-1].episode.anomaly_id == opened.anomaly_id


def test_all_memories_together_stay_within_their_bound() -> None:
    small = replace(TUNING, memory_bytes=10 * 100 * 20)
    fleet = Fleet(small, refit_at_once=False)
    for number in range(10):
        fleet.serve(f"m{number}", start())
    fleet.push([row for number in range(10) for row in live(f"m{number}", 400, 500)])
    lot, slot = fleet.place("m3") or pytest.fail("it is served")
    assert len(lot.memory.rows(slot)) == 100


def test_data_that_stops_closes_the_episode_once(fleet: Fleet) -> None:
    told(fleet, live("press-7", 400, 450, excess_kw=9.0))
    assert list(fleet.open()) == ["press-7"]
    closed = fleet.vanish("press-7")
    assert closed is not None
    assert fleet.vanish("press-7") is None
    assert list(fleet.open()) == []


passes = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from([0.5, 1.0, 5.0, 200.0]),
            st.sampled_from([0.0, 0.3, 0.7, 0.95, 1.0, 1.5, 4.0, float("nan")]),
            st.booleans(),
        ),
        min_size=3,
        max_size=3,
    ),
    max_size=60,
)


@settings(deadline=None)
@given(passes)
def test_what_passes_as_calm_is_what_stepping_would_have_led_to(
    passes: list[list[tuple[float, float, bool]]],
) -> None:
    table, single = VerdictTable(), [Verdict("m0"), Verdict("m1"), Verdict("m2")]
    table.resize(4)
    slots, now_s = np.array([2, 0, 1]), np.zeros(3)
    for at, slot in enumerate(slots):
        table.begin(int(slot), single[at], PATIENCE)
    for one in passes:
        now_s += [gap for gap, _, _ in one]
        scores = np.array([score for _, score, _ in one])
        held = np.array([hold for _, _, hold in one]) & np.isnan(scores)
        seen = [Seen(now_s[at], scores[at], "power_kw", None, bool(held[at])) for at in range(3)]
        told = [step(single[at], seen[at], PATIENCE) for at in range(3)]
        others = table.calm(slots, now_s, scores, held)
        assert all(not told[at][1] for at in range(3) if at not in others)
        for at in others:
            table.put(int(slots[at]), step(table.get(int(slots[at])), seen[at], PATIENCE)[0])
        single = [verdict for verdict, _ in told]
        assert [table.get(int(slot)) for slot in slots] == single
        assert table.open(slots).tolist() == [one.episode is not None for one in single]


def test_an_open_episode_survives_being_put_and_got() -> None:
    table = VerdictTable()
    table.resize(1)
    episode = Episode("id", "power_kw", 1.0, 2.0, 3.0, "warning", 0.0)
    table.begin(0, Verdict("m", last_s=5.0, episode=episode), PATIENCE)
    assert table.get(0).episode == episode
    assert table.all_open() == [0]
