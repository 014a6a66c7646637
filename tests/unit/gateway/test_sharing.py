"""Every machine has exactly one worker, by its name alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.roles import MOST_WORKERS
from gateway.sharing import BadShareError, Share

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)


@given(NAMES, st.integers(1, MOST_WORKERS))
def test_exactly_one_worker_owns_a_machine(name: str, count: int) -> None:
    owners = [index for index in range(count) if Share(index, count).owns(name)]
    assert len(owners) == 1


@given(NAMES, st.integers(1, MOST_WORKERS))
def test_all_topics_of_a_machine_go_to_the_worker_that_owns_it(name: str, count: int) -> None:
    for index in range(count):
        share = Share(index, count)
        for topic in (f"telemetry/{name}", f"telemetry/{name}/power_kw", f"announce/{name}"):
            assert share.wants(topic) == share.owns(name)


def test_the_share_of_a_machine_is_the_same_on_every_computer() -> None:
    assert [Share(1, 3).owns(f"press-{number}") for number in range(6)] == [
        False,
        True,
        False,
        True,
        True,
        False,
    ]


def test_machines_are_spread_evenly() -> None:
    for index in range(3):
        owned = sum(Share(index, 3).owns(f"m{number:05}") for number in range(9000))
        assert 2700 < owned < 3300


@pytest.mark.parametrize(
    "text", ["", "1", "3/3", "-1/3", "0/0", "0/9", "1/3/5", "a/b", "0 / 3", "\u0660/\u0663"]
)
def test_what_is_no_share_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadShareError, match=r"worker"):
        Share.parse(text)


def test_a_share_is_read_as_it_is_written() -> None:
    assert Share.parse("0/3") == Share(0, 3)
    assert Share.parse("0/3").first
    assert not Share.parse("2/3").first
