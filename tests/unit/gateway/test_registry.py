"""What the gateway knows of each machine, and which of it is told again."""

from datetime import timedelta
from typing import Any

from fixtures.deliveries import NOW, encoded

from broker.messages import Announce, LatestValue, Machine, MetricInfo, Place
from broker.telemetry import Parsed, read
from gateway.registry import Registry

SECOND = timedelta(seconds=1)


def parsed(body: Any, topic: str = "telemetry/press-7", seconds: float = 0) -> Parsed:
    return read(topic, encoded(body), NOW + timedelta(seconds=seconds))


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
