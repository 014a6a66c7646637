"""How long a client waits before it tries again."""

from hypothesis import given
from hypothesis import strategies as st

from broker.bus import BACKOFF_FIRST_S, BACKOFF_MOST_S, backoff_s

attempts = st.integers(0, 10**9)
jitters = st.floats(0, 1)


@given(attempts, jitters)
def test_a_wait_is_within_its_bounds(attempt: int, jitter: float) -> None:
    assert BACKOFF_FIRST_S / 2 <= backoff_s(attempt, jitter) <= BACKOFF_MOST_S


@given(attempts, jitters)
def test_a_wait_never_gets_shorter_with_the_attempts(attempt: int, jitter: float) -> None:
    assert backoff_s(attempt, jitter) <= backoff_s(attempt + 1, jitter)


@given(attempts)
def test_clients_that_lost_the_broker_together_come_back_spread_over_half_of_the_wait(attempt: int) -> None:
    assert backoff_s(attempt, 0) * 2 == backoff_s(attempt, 1)


def test_the_first_wait_is_short_and_doubles() -> None:
    assert [backoff_s(attempt, 1) for attempt in range(4)] == [0.2, 0.4, 0.8, 1.6]
