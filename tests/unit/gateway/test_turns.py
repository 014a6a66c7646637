"""Whose turn it is to be told."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.turns import Budget, Turns

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_budget_is_a_second_of_its_rate_at_most_and_fills_with_time() -> None:
    budget = Budget(10)
    assert budget.refill(NOW) == 10
    budget.spend(10)
    assert budget.refill(NOW) == 0
    assert budget.refill(NOW + SECOND / 2) == 5
    assert budget.refill(NOW + 100 * SECOND) == 10


def test_a_clock_set_back_takes_nothing_from_a_budget() -> None:
    budget = Budget(10)
    budget.refill(NOW)
    budget.spend(4)
    assert budget.refill(NOW - 100 * SECOND) == 6


def test_a_budget_of_less_than_one_a_second_is_one_now_and_then() -> None:
    budget = Budget(0.5)
    budget.spend(budget.refill(NOW))
    assert [budget.refill(NOW + second * SECOND) for second in (1, 2, 9)] == [0, 1, 1]


@given(st.lists(st.floats(0, 2), max_size=100), st.integers(1, 50))
def test_never_more_is_spent_than_the_rate_and_a_second_of_it_in_hand(
    gaps_s: list[float], per_s: int
) -> None:
    budget, spent, now_s = Budget(per_s), 0, 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        allowed = budget.refill(NOW + now_s * SECOND)
        budget.spend(allowed)
        spent += allowed
    assert spent <= per_s * (now_s + 1) + 1e-3


def test_who_was_never_told_comes_before_who_was_and_each_once() -> None:
    turns = Turns(SECOND)
    for name in ("a", "b", "a"):
        turns.add(name)
    assert turns.take(9, NOW) == ["a", "b"]
    for name in ("b", "a", "c"):
        turns.add(name)
    assert turns.take(9, NOW + SECOND / 2) == ["c"]
    assert turns.take(1, NOW + SECOND) == ["b"]
    assert turns.take(9, NOW + SECOND) == ["a"]
    assert turns.take(9, NOW + 9 * SECOND) == []


def test_after_a_clock_was_set_back_nobody_waits_for_it() -> None:
    turns = Turns(SECOND)
    turns.add("a")
    assert turns.take(9, NOW) == ["a"]
    turns.add("a")
    assert turns.take(9, NOW - 60 * SECOND) == ["a"]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3)), max_size=200))
def test_everything_added_is_told_in_the_end_and_never_sooner_than_allowed(
    steps: list[tuple[str, int]],
) -> None:
    turns, now, told_at, owed = Turns(SECOND), NOW, dict[str, datetime](), set[str]()
    for name, tenths in [*steps, *[("a", 10)] * 10]:
        now += tenths * SECOND / 10
        turns.add(name)
        owed.add(name)
        for one in turns.take(2, now):
            assert one in owed
            assert one not in told_at or now - told_at[one] >= SECOND
            told_at[one] = now
            owed.remove(one)
    assert owed <= {"a"}
