"""What a machine must have sent and what never came, by its rhythm."""

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rhythm import PAUSE_S, Rhythm

START_S = 1_700_000_000.0


def heard(times_s: Iterable[float], *, timed: bool = True) -> Rhythm:
    rhythm = Rhythm()
    for at_s in times_s:
        rhythm.heard(START_S + at_s, START_S + at_s, timed=timed)
    return rhythm


def beat(period_s: float, count: int, first_s: float = 0.0) -> list[float]:
    return [first_s + number * period_s for number in range(count)]


@pytest.mark.parametrize("period_s", [0.02, 0.1, 1, 10, 60, 900])
@pytest.mark.parametrize("lost", [1, 2, 7])
def test_a_hole_in_a_steady_rhythm_is_counted_with_the_next_message(period_s: float, lost: int) -> None:
    assert heard(beat(period_s, 10)).missed == 0
    assert heard([*beat(period_s, 10), (9 + lost + 1) * period_s]).missed == lost


def test_before_ten_messages_there_is_no_rhythm_to_miss_anything_in() -> None:
    assert heard([*beat(1, 9), 12]).missed == 0


@given(st.integers(0, 2**32), st.floats(0.05, 100), st.sampled_from([0.01, 0.05, 0.1, 0.15]))
def test_with_jitter_exactly_what_was_lost_is_counted(seed: int, period_s: float, jitter: float) -> None:
    chance = random.Random(seed)  # noqa: S311
    times = [(number + chance.uniform(-jitter / 2, jitter / 2)) * period_s for number in range(400)]
    lost = {number for number in range(30, 399) if chance.random() < 0.02}
    # Three holes of one size with nothing between them would be a new period.
    lost -= {number for number in lost if number - 2 in lost or number - 3 in lost}
    assert heard(at for number, at in enumerate(times) if number not in lost).missed == len(lost)


@given(st.integers(0, 2**32), st.sampled_from([0.2, 1.0, 5.0]))
def test_a_machine_without_a_rhythm_misses_next_to_nothing(seed: int, mean_s: float) -> None:
    chance = random.Random(seed)  # noqa: S311
    now_s, times = 0.0, []
    for _ in range(1000):
        now_s += chance.expovariate(1 / mean_s)
        times.append(now_s)
    assert heard(times).missed <= 20


@pytest.mark.parametrize(("before_s", "after_s"), [(1, 2), (1, 5), (1, 300), (10, 1), (60, 1), (1, 1.5)])
def test_a_new_period_is_no_loss(before_s: float, after_s: float) -> None:
    times = beat(before_s, 50)
    times += beat(after_s, 60, times[-1] + after_s)
    assert heard(times).missed == 0
    assert heard([*times, times[-1] + 4 * after_s]).missed == 3


def test_a_long_pause_is_no_loss_and_the_rhythm_goes_on_after_it() -> None:
    times = [*beat(1, 20), *beat(1, 20, PAUSE_S + 30)]
    assert heard(times).missed == 0
    assert heard([*times, times[-1] + 2]).missed == 1


def test_a_slow_meter_is_given_twenty_periods_before_it_is_a_pause() -> None:
    assert heard([*beat(900, 12), 11 * 900 + 10 * 900]).missed == 9


@given(st.permutations(range(20)))
def test_what_comes_late_counts_nothing(order: Sequence[int]) -> None:
    rhythm = heard(beat(1, 40))
    for number in order:
        rhythm.heard(START_S + number + 0.5, START_S + 40, timed=True)
    rhythm.heard(START_S + 40, START_S + 40, timed=True)
    assert rhythm.missed == 0


def test_what_is_skipped_counts_nothing_and_moves_the_end_on() -> None:
    rhythm = heard(beat(1, 20))
    rhythm.skip(START_S + 100, timed=True)
    rhythm.skip(START_S + 50, timed=True)
    rhythm.heard(START_S + 101, START_S + 101, timed=True)
    assert rhythm.missed == 0
    rhythm.heard(START_S + 103, START_S + 103, timed=True)
    assert rhythm.missed == 1


def test_one_sending_split_over_topics_is_one_beat() -> None:
    times = [second + part / 1000 for second in range(30) for part in range(5)]
    assert heard(times).missed == 0
    assert heard([*times, 32.0]).missed == 2


def test_by_the_time_of_arrival_only_three_periods_are_a_hole() -> None:
    assert heard([*beat(1, 20), 21.5], timed=False).missed == 0
    assert heard([*beat(1, 20), 22.0], timed=False).missed == 2


def test_what_was_only_held_up_on_its_way_is_not_missed_in_the_end() -> None:
    held_up = [49.0 + number / 100 for number in range(30)]
    assert heard([*beat(1, 20), *held_up, *beat(1, 20, 50)], timed=False).missed == 0


def test_a_clock_set_back_or_one_time_from_the_future_begins_a_new_rhythm() -> None:
    rhythm = heard(beat(1, 20))
    rhythm.heard(START_S + 500, START_S + 20, timed=True)
    missed = rhythm.missed
    for second in range(21, 40):
        rhythm.heard(START_S + second, START_S + second, timed=True)
    assert rhythm.missed == missed
    rhythm.heard(START_S + 41, START_S + 41, timed=True)
    assert rhythm.missed == missed + 1


def test_messages_with_and_without_a_time_make_no_rhythm_together() -> None:
    rhythm = Rhythm()
    for second in range(60):
        rhythm.heard(START_S + second - 5 * (second % 2), START_S + second, timed=second % 2 == 1)
    assert rhythm.missed == 0


@given(
    st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(0, 1e4), st.booleans(), st.booleans()), max_size=60)
)
def test_whatever_comes_nothing_is_missed_less_than_never(
    heard_of: list[tuple[float, float, bool, bool]],
) -> None:
    rhythm, now_s = Rhythm(), START_S
    for skew_s, gap_s, timed, single in heard_of:
        now_s += gap_s
        at_s = now_s + skew_s if timed else now_s
        (rhythm.heard(at_s, now_s, timed=timed) if single else rhythm.skip(at_s, timed=timed))
        assert rhythm.missed >= 0
