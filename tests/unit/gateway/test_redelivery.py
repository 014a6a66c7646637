"""An untimed message that was committed is known again, and nothing else is taken for it."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.redelivery import REMEMBERED, Committed, content_hash


def test_a_message_is_known_by_packet_id_and_content() -> None:
    committed = Committed()
    committed.note([(7, content_hash("telemetry/a", b"1"))], 1)
    assert committed.has(7, content_hash("telemetry/a", b"1"))
    assert not committed.has(8, content_hash("telemetry/a", b"1"))
    assert not committed.has(7, content_hash("telemetry/a", b"2"))
    assert not committed.has(7, content_hash("telemetry/b", b"1"))


def test_where_the_topic_ends_matters() -> None:
    assert content_hash("telemetry/a", b"b1") != content_hash("telemetry/ab", b"1")


@given(st.lists(st.integers(1, 500), min_size=1, max_size=200))
def test_nothing_is_remembered_for_a_whole_turn_of_packet_ids(sizes: list[int]) -> None:
    committed = Committed()
    mid, when = 0, {}
    for number, size in enumerate(sizes):
        batch = []
        for _ in range(size):
            mid = mid % 65_535 + 1
            batch.append((mid, number))
            when[mid] = number
        committed.note(batch, size)
    since = 0
    for number in reversed(range(len(sizes))):
        since += sizes[number]
        mids = [one for one, batch in when.items() if batch == number]
        if since <= REMEMBERED:
            assert all(committed.has(one, number) for one in mids)
        elif number < len(sizes) - 1:
            assert not any(committed.has(one, number) for one in mids)


def test_what_the_database_remembers_is_known_and_a_new_session_forgets_it() -> None:
    committed = Committed()
    committed.restore({1: 11, 2: 22})
    assert committed.has(2, 22)
    committed.forget()
    assert not committed.has(2, 22)
