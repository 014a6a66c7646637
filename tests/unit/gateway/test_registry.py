"""What the gateway knows of each machine, and which of it is told again."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.messages import Announce, LatestValue, Machine, MetricInfo, Place
from broker.telemetry import Parsed, read
from gateway.registry import News, Registry

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def parsed(body: Any, topic: str = "telemetry/press-7", seconds: float = 0) -> Parsed:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(topic, payload, NOW + timedelta(seconds=seconds))


def told(registry: Registry, *bodies: Any) -> Registry:
    for body in bodies:
        registry.take(parsed(body), NOW)
    return registry


def values(registry: Registry, machine: str = "press-7") -> dict[str, float | str]:
    found = registry.state_of(machine, NOW)
    assert found is not None
    return {name: one.value for name, one in found[1].values.items()}


def test_a_machine_is_known_from_its_first_reading_on_with_units_from_names() -> None:
    registry = told(Registry(), {"power_kw": 1, "mode": "idle", "speed": 2})
    assert registry.machine("press-7") == Machine(
        machine="press-7",
        name="press-7",
        first_seen=NOW,
        metrics={"power_kw": MetricInfo(unit="kW"), "speed": MetricInfo(unit="")},
    )
    assert values(registry) == {"power_kw": 1.0, "mode": "idle", "speed": 2.0}
    assert registry.names() == ["press-7"]


def test_what_was_refused_as_a_whole_makes_no_machine() -> None:
    registry = told(Registry(), b"garbage")
    registry.take(parsed({"a": 1}, "telemetry/ä"), NOW)
    assert registry.names() == []
    assert registry.state_of("press-7", NOW) is None
    assert registry.machine("press-7") is None


def test_garbage_of_a_known_machine_is_counted_in_its_health() -> None:
    registry = told(Registry(), {"a": 1}, b"garbage")
    found = registry.state_of("press-7", NOW)
    assert found is not None
    assert (found[2].state, found[2].rejected) == ("bad_data", 1)


def test_the_newest_value_stays_whatever_comes_late() -> None:
    registry = told(Registry(), {"ts": NOW.timestamp() - 5, "a": 5}, {"ts": NOW.timestamp() - 60, "a": 60})
    assert values(registry) == {"a": 5.0}


def test_no_last_value_is_from_the_future() -> None:
    registry = told(Registry(), {"ts": NOW.timestamp() + 3600, "a": 1})
    found = registry.state_of("press-7", NOW)
    assert found is not None
    assert found[1].values["a"].ts == NOW
    assert found[2].clock_skew_s == 3600
    registry.take(parsed({"a": 2}, seconds=1), NOW + SECOND)
    assert values(registry) == {"a": 2.0}


def test_an_announcement_adds_and_what_it_leaves_out_stays() -> None:
    registry = told(Registry(), {"power_kw": 1})
    first = Announce(name="Press 7", metrics={"power_kw": MetricInfo(unit="MW", max=9)}, rated_power_kw=30)
    registry.announce("press-7", first, NOW)
    registry.announce("press-7", Announce(place=Place(site="Graz")), NOW)
    known = registry.machine("press-7")
    assert known is not None
    assert (known.name, known.rated_power_kw, known.place) == ("Press 7", 30, Place(site="Graz"))
    told(registry, {"power_kw": 2})
    known = registry.machine("press-7")
    assert known is not None
    assert known.metrics == {"power_kw": MetricInfo(unit="MW", max=9)}


def test_a_field_is_a_number_once_it_was_one() -> None:
    registry = told(Registry(), {"speed": 1, "mode": "idle"})
    assert registry.is_number("press-7", "speed")
    assert not registry.is_number("press-7", "mode")
    assert not registry.is_number("press-8", "speed")


def test_news_are_told_once() -> None:
    registry = told(Registry(), {"a": 1})
    news = registry.news(NOW)
    assert ([one.machine for one in news.machines], len(news.latest), len(news.health)) == (["press-7"], 1, 1)
    news = registry.news(NOW)
    assert (news.machines, news.latest, news.health) == ((), (), ())


def test_last_values_are_told_at_most_once_a_second_and_the_last_of_them_always() -> None:
    registry = Registry()
    heard = []
    for tenth in range(31):
        now = NOW + tenth * SECOND / 10
        if tenth <= 25:
            registry.take(parsed({"a": tenth}, seconds=tenth / 10), now)
        heard += [latest.values["a"].value for latest in registry.news(now).latest]
    assert heard == [0, 10, 20, 25]


def test_a_last_will_and_a_birth_are_told_at_once() -> None:
    registry = told(Registry(), {"a": 1})
    registry.news(NOW)
    registry.client_said("press-7", online=False)
    registry.client_said("stranger", online=False)
    assert [one.state for one in registry.news(NOW).health] == ["offline"]
    registry.client_said("press-7", online=True)
    assert [one.state for one in registry.news(NOW).health] == ["ok"]


def test_silence_alone_is_news() -> None:
    registry = Registry()
    for second in range(5):
        registry.take(parsed({"a": 1}, seconds=second), NOW + second * SECOND)
    registry.news(NOW + 4 * SECOND)
    assert not registry.news(NOW + 7 * SECOND).health
    assert [one.state for one in registry.news(NOW + 9 * SECOND).health] == ["stale"]


def test_what_the_database_holds_is_known_and_told_after_a_start() -> None:
    registry = Registry()
    machine = Machine(machine="press-7", name="Press 7", first_seen=NOW, metrics={"a": MetricInfo(unit="")})
    registry.restore(machine, {"a": LatestValue(ts=NOW - 9 * SECOND, value=3.0)}, NOW - 9 * SECOND)
    news = registry.news(NOW)
    assert news.machines == (machine,)
    assert [one.values["a"].value for one in news.latest] == [3.0]
    assert [one.last_seen for one in news.health] == [NOW - 9 * SECOND]
    assert registry.is_number("press-7", "a")


Said = tuple[dict[str, int | str], int]
"""What a machine says, and the seconds after NOW that it says it was."""

said = st.tuples(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3)
    | st.dictionaries(st.sampled_from(["mode", "shift"]), st.sampled_from(["x", "y"]), max_size=2),
    st.integers(-30, 5),
)


@given(st.lists(said, max_size=30))
def test_what_is_kept_as_rows_equals_what_is_kept_value_by_value(heard: list[Said]) -> None:
    registry, eager = Registry(), dict[str, LatestValue]()
    for fields, second in heard:
        registry.take(parsed({"ts": NOW.timestamp() + second, **fields}), NOW)
        for name, value in fields.items():
            ts = NOW + min(second, 0) * SECOND
            if name not in eager or eager[name].ts <= ts:
                eager[name] = LatestValue(ts=ts, value=value)
    found = registry.state_of("press-7", NOW)
    assert (found[1].values if found else {}) == eager


@given(st.data())
def test_the_order_of_arrival_is_of_no_consequence(data: st.DataObject) -> None:
    seconds = data.draw(st.lists(st.integers(-300, 0), unique=True, max_size=40))
    heard = [(data.draw(st.sets(st.sampled_from("abcdef"), min_size=1)), second) for second in seconds]
    seen = []
    for order in (heard, data.draw(st.permutations(heard))):
        registry = Registry()
        for names, second in order:
            registry.take(parsed({"ts": NOW.timestamp() + second} | dict.fromkeys(names, second)), NOW)
        seen.append(values(registry) if heard else {})
    assert seen[0] == seen[1]


def test_a_backfill_moves_no_last_value_back_unless_its_last_row_is_the_newest() -> None:
    registry = told(Registry(), {"ts": NOW.timestamp() - 10, "a": 10})
    told(registry, [{"ts": NOW.timestamp() - second, "a": second} for second in range(60, 20, -1)])
    assert values(registry) == {"a": 10}
    told(registry, [{"ts": NOW.timestamp() - second, "a": second} for second in (3, 5, 20)])
    assert values(registry) == {"a": 3}


def test_a_machine_of_many_topics_has_all_its_values() -> None:
    registry = Registry()
    for second in (0, 1):
        for number in range(100):
            registry.take(parsed(number + second, f"telemetry/plc/m{number}", second), NOW + second * SECOND)
    assert values(registry, "plc") == {f"m{number}": number + 1 for number in range(100)}
    assert registry.is_number("plc", "m99")


def crowd(registry: Registry, count: int, second: float = 0) -> None:
    now = NOW + second * SECOND
    for number in range(count):
        registry.take(parsed({"a": second}, f"telemetry/m{number}", second), now)


def ask(registry: Registry, seconds: float, first: float = 0) -> list[News]:
    """News asked for ten times a second."""
    return [registry.news(NOW + (first + tenth / 10) * SECOND) for tenth in range(round(seconds * 10))]


def test_of_many_changes_each_machine_is_told_as_often_as_the_others_and_no_more_than_allowed() -> None:
    registry, told_of, most = Registry(latest_per_s=20), Counter[str](), 0
    for second in range(20):
        crowd(registry, 100, second)
        heard = [latest.machine for news in ask(registry, 1, second) for latest in news.latest]
        told_of.update(heard)
        most = max(most, len(heard)) if second else 0
    assert most <= 20
    assert len(told_of) == 100
    assert max(told_of.values()) - min(told_of.values()) <= 1


def test_who_was_told_longest_ago_is_told_first() -> None:
    registry = Registry(latest_per_s=10)
    registry.take(parsed({"a": 0}, "telemetry/quiet"), NOW)
    ask(registry, 1)
    for second in range(1, 10):
        crowd(registry, 50, second)
        ask(registry, 1, second)
    registry.take(parsed({"a": 1}, "telemetry/quiet", 10), NOW + 10 * SECOND)
    assert registry.news(NOW + 10 * SECOND).latest[0].machine == "quiet"


def test_every_state_is_told_within_a_second_however_many_machines_change() -> None:
    registry = Registry(latest_per_s=10)
    for second in range(5):
        crowd(registry, 200, second)
        ask(registry, 1, second)
    heard = [health for news in ask(registry, 10, 5) for health in news.health if health.state == "stale"]
    assert len({health.machine for health in heard}) == len(heard) == 200
    registry.take(parsed({"a": 1}, "telemetry/m7", 20), NOW + 20 * SECOND)
    assert [(one.machine, one.state) for one in registry.news(NOW + 20 * SECOND).health] == [("m7", "ok")]


def test_the_figures_of_health_are_told_again_every_ten_seconds() -> None:
    registry = Registry()
    heard = 0
    for second in range(35):
        crowd(registry, 3, second)
        heard += sum(len(news.health) for news in ask(registry, 1, second))
    assert heard == 3 * 4


def test_a_lost_message_is_told_with_the_next_one() -> None:
    registry = Registry()
    for second in [*range(20), 22]:
        registry.take(parsed({"ts": NOW.timestamp() + second, "a": 1}, seconds=second), NOW + second * SECOND)
        heard = ask(registry, 1, second)
    assert [health.missed for news in heard for health in news.health] == [2]


def test_on_a_way_that_loses_messages_none_is_missed() -> None:
    registry = Registry()
    stood_in = [(25, 25, False), (26, 26, False)]
    held_back = [(second, 27, True) for second in range(20, 28)]
    first = [(second, second, True) for second in range(20)]
    for second, arrived, complete in [*first, *stood_in, *held_back, (28, 28, True), (31, 31, True)]:
        message = parsed({"ts": NOW.timestamp() + second, "a": 1}, seconds=arrived)
        registry.take(message, NOW + arrived * SECOND, complete=complete)
    found = registry.state_of("press-7", NOW)
    assert found is not None
    assert found[2].missed == 2


def test_a_clock_of_ours_that_is_set_back_keeps_no_value_waiting() -> None:
    registry = Registry()
    crowd(registry, 3)
    ask(registry, 1)
    crowd(registry, 3, -3600)
    registry.news(NOW - 3600 * SECOND)
    registry.take(parsed({"ts": NOW.timestamp() + 1, "a": 9}, "telemetry/m0"), NOW + SECOND)
    registry.take(parsed({"ts": NOW.timestamp() - 3599, "b": 9}, "telemetry/m1"), NOW - 3599 * SECOND)
    news = registry.news(NOW - 3598 * SECOND)
    assert {latest.machine for latest in news.latest} == {"m0", "m1"}


def test_what_the_database_held_goes_beneath_what_came_before_it_answered() -> None:
    registry = told(Registry(), {"a": 2.0, "b": 5.0})
    registry.news(NOW)
    known = Machine(
        machine="press-7", name="Press 7", first_seen=NOW - SECOND, metrics={"c": MetricInfo(unit="")}
    )
    before = LatestValue(ts=NOW - SECOND, value=1.0)
    registry.restore(known, {"a": before, "c": before}, NOW - SECOND)
    news = registry.news(NOW + SECOND)
    assert [(one.name, sorted(one.metrics)) for one in news.machines] == [("Press 7", ["a", "b", "c"])]
    assert {name: one.value for name, one in news.latest[0].values.items()} == {"a": 2.0, "b": 5.0, "c": 1.0}
