"""Whether a machine's data still arrives, by the period it has shown itself."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.liveness import Arrivals

START = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def every(period_s: float, times: int = 30) -> tuple[Arrivals, float]:
    """A machine that sent so many messages, and when the last one came."""
    arrivals = Arrivals(START)
    for number in range(times):
        arrivals.took(after(number * period_s), after(number * period_s), 0)
    return arrivals, (times - 1) * period_s


def state(arrivals: Arrivals, seconds: float) -> str:
    return arrivals.health("a", after(seconds)).state


@pytest.mark.parametrize("period_s", [0.1, 1, 60])
def test_stale_after_two_periods_and_two_seconds(period_s: float) -> None:
    arrivals, last = every(period_s)
    assert arrivals.health("a", after(last)).period_s == pytest.approx(period_s)
    assert state(arrivals, last + 2 * period_s + 1.9) == "ok"
    assert state(arrivals, last + 2 * period_s + 2.1) == "stale"


@pytest.mark.parametrize(("period_s", "limit_s"), [(1, 120), (60, 1200)])
def test_offline_after_twenty_periods_but_not_within_two_minutes(period_s: float, limit_s: float) -> None:
    arrivals, last = every(period_s)
    assert state(arrivals, last + limit_s - 1) == "stale"
    assert state(arrivals, last + limit_s + 1) == "offline"


def test_a_machine_heard_once_is_given_five_minutes() -> None:
    arrivals, last = every(1, times=1)
    assert arrivals.health("a", after(last)).period_s is None
    assert state(arrivals, last + 601) == "ok"
    assert state(arrivals, last + 603) == "stale"


def test_a_last_will_is_offline_at_once_until_something_comes() -> None:
    arrivals, last = every(1)
    arrivals.said(online=False)
    assert state(arrivals, last) == "offline"
    arrivals.took(after(last + 1), after(last + 1), 0)
    assert state(arrivals, last + 1) == "ok"


def test_bad_data_until_something_can_be_taken_again() -> None:
    arrivals, last = every(1)
    arrivals.refused(after(last + 1), 3)
    health = arrivals.health("a", after(last + 1))
    assert (health.state, health.rejected, health.last_seen) == ("bad_data", 3, after(last))
    arrivals.took(after(last + 2), after(last + 2), 1)
    health = arrivals.health("a", after(last + 2))
    assert (health.state, health.rejected) == ("ok", 4)


def test_a_machine_that_goes_on_sending_what_cannot_be_taken_is_not_offline() -> None:
    arrivals, last = every(1)
    for second in range(1, 300):
        arrivals.refused(after(last + second), 1)
    assert state(arrivals, last + 300) == "bad_data"
    assert state(arrivals, last + 299 + 4.1) == "stale"


def test_skew_is_the_devices_time_less_the_time_of_arrival() -> None:
    arrivals, last = every(1)
    arrivals.took(after(last + 1), after(last + 61), 0)
    assert arrivals.health("a", after(last + 1)).clock_skew_s == 60
    arrivals.took(after(last + 2), after(last - 1), 0)
    assert arrivals.health("a", after(last + 2)).clock_skew_s == -3


def test_one_sending_split_over_topics_is_one_arrival() -> None:
    arrivals = Arrivals(START)
    for second in range(20):
        for part in range(5):
            arrivals.took(after(second + part / 1000), after(second), 0)
    assert arrivals.health("a", after(19)).period_s == pytest.approx(1, abs=0.01)


def test_one_long_pause_is_no_new_habit() -> None:
    arrivals, last = every(1)
    arrivals.took(after(last + 100_000), after(last + 100_000), 0)
    assert arrivals.health("a", after(last + 100_000)).period_s == pytest.approx(1 + 0.2 * 9)


def test_a_message_that_arrives_before_its_forerunner_takes_nothing_back() -> None:
    arrivals, last = every(1)
    arrivals.took(after(last - 10), after(last - 10), 0)
    assert arrivals.health("a", after(last)).last_seen == after(last)
    assert arrivals.health("a", after(last)).period_s == pytest.approx(1)


@given(st.lists(st.tuples(st.floats(-10, 1e6), st.booleans()), max_size=30), st.floats(0, 1e7))
def test_whatever_arrives_health_can_be_said(steps: list[tuple[float, bool]], later: float) -> None:
    arrivals, now = Arrivals(START), 0.0
    for gap, good in steps:
        now = max(0.0, now + gap)
        if good:
            arrivals.took(after(now), after(now), 0)
        else:
            arrivals.refused(after(now), 1)
    health = arrivals.health("a", after(now + later))
    assert health.period_s is None or health.period_s > 0
    assert health.rejected == sum(not good for _, good in steps)


def test_what_was_refused_or_missed_or_the_state_is_news_and_figures_are_after_ten_seconds() -> None:
    arrivals, last = every(1)
    told = arrivals.health("a", after(last))
    assert (told.state, told.missed) == ("ok", 0)

    def news(now_s: float) -> tuple[bool, bool]:
        return arrivals.is_news(told, after(now_s).timestamp()), arrivals.is_old_news(told)

    assert news(last) == (False, False)
    assert news(last + 5) == (True, False)
    arrivals.took(after(last + 1), after(last + 1), 0)
    assert news(last + 1) == (False, False)
    arrivals.refused(after(last + 1), 1)
    assert news(last + 1) == (True, False)
    told = arrivals.health("a", after(last + 1))
    for second in range(1, 11):
        arrivals.took(after(last + second), after(last + second), 0)
    assert news(last + 10)[1] is False
    arrivals.took(after(last + 11), after(last + 11), 0)
    assert news(last + 11)[1] is True
    told = arrivals.health("a", after(last + 11))
    arrivals.took(after(last + 13), after(last + 13), 0)
    assert news(last + 13) == (True, False)


def test_a_lost_message_is_missed_when_the_next_one_comes() -> None:
    arrivals, last = every(1)
    arrivals.took(after(last + 3), after(last + 3), 0)
    assert arrivals.health("a", after(last + 3)).missed == 2


def test_what_a_machine_does_not_send_while_it_is_off_is_not_missed() -> None:
    arrivals, last = every(1)
    arrivals.said(online=False)
    arrivals.said(online=True)
    arrivals.took(after(last + 30), after(last + 30), 0)
    assert arrivals.health("a", after(last + 30)).missed == 0
    arrivals.took(after(last + 33), after(last + 33), 0)
    assert arrivals.health("a", after(last + 33)).missed == 2
