"""What was received and not yet taken, and what is owed to the broker for it."""

from array import array
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from broker import wire
from broker.inbox import KNOWN_TOPICS, Inbox
from broker.roles import MOST_WORKERS

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def message(mid: int, topic: str = "telemetry/press-7", payload: bytes = b"1") -> wire.Publish:
    return wire.Publish(f"enms/{topic}".encode(), payload, int(mid > 0), retained=False, again=False, mid=mid)


def inbox(capacity: int = 100, capacity_bytes: int = 10**6) -> Inbox:
    return Inbox("enms", capacity, capacity_bytes)


@given(st.lists(st.tuples(st.integers(-25_000_000, 25_000_000), st.integers(0, 5)), max_size=20))
def test_no_two_messages_share_a_time_whatever_the_clock_does_within_a_minute(
    reads: list[tuple[int, int]],
) -> None:
    box = inbox()
    for offset_us, count in reads:
        box.put([message(1)] * count, NOW + timedelta(microseconds=offset_us))
    times = [one.arrived for one in box.take(1000).messages]
    assert all(later - earlier >= MICROSECOND for earlier, later in pairwise(times))


def test_a_message_has_the_time_of_its_arrival() -> None:
    box = inbox()
    box.put([message(1)], NOW)
    assert box.take(1).messages[0].arrived == NOW


def test_a_clock_put_back_by_more_than_a_minute_is_followed() -> None:
    box = inbox()
    box.put([message(1)], NOW + timedelta(hours=1))
    box.put([message(2)], NOW)
    assert [one.arrived for one in box.take(2).messages] == [NOW + timedelta(hours=1), NOW]


def test_packets_that_are_not_messages_are_handed_back() -> None:
    box = inbox()
    assert box.put([wire.Pingresp(), message(1), wire.Puback(1, 0)], NOW) == [
        wire.Pingresp(),
        wire.Puback(1, 0),
    ]
    assert len(box) == 1


def test_a_topic_is_relative_to_the_root() -> None:
    box = Inbox("acme/chicago/enms", 10, 1000)
    box.put([wire.Publish(b"acme/chicago/enms/telemetry/m", b"", 0, False, False, 0)], NOW)  # noqa: FBT003
    assert box.take(1).messages[0].topic == "telemetry/m"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=40))
def test_everything_is_acknowledged_once_in_its_order_and_nothing_before_what_was_wanted_earlier(
    arrivals: list[tuple[bool, int]],
) -> None:
    box = Inbox("enms", 1000, 10**6, wanted=lambda topic: topic.endswith("mine"))
    done = array("H")
    taken: set[int] = set()
    sent: dict[int, bool] = {}
    for mid, (mine, take) in enumerate(arrivals, 1):
        sent[mid] = mine
        box.put([message(mid, "telemetry/mine" if mine else "telemetry/others")], NOW)
        done += box.unwanted()
        if take:
            batch = box.take(take)
            assert all(one.topic == "telemetry/mine" for one in batch.messages)
            taken.update(one.mid for one in batch.messages)
            done += box.settle(batch)
        first_open = min((mid for mid, mine in sent.items() if mine and mid not in taken), default=10**6)
        assert all(mid < first_open for mid in done)
    while len(box):
        done += box.settle(box.take(7))
    assert done.tolist() == list(sent)


def test_messages_of_qos_0_are_owed_nothing() -> None:
    box = inbox()
    box.put([message(0), message(5), message(0)], NOW)
    assert box.settle(box.take(3)).tolist() == [5]


def test_a_batch_is_acknowledged_once() -> None:
    box = inbox()
    box.put([message(1), message(2)], NOW)
    batch = box.take(2)
    assert box.settle(batch).tolist() == [1, 2]
    assert box.settle(batch).tolist() == []


def test_what_an_ended_connection_brought_is_gone_and_never_acknowledged_on_the_next() -> None:
    box = inbox()
    box.put([message(1), message(2)], NOW)
    old = box.take(1)
    box.clear()
    assert len(box) == 0
    box.put([message(1)], NOW)
    assert box.settle(old).tolist() == []
    assert box.settle(box.take(9)).tolist() == [1]


def test_it_is_full_by_count_until_half_is_taken() -> None:
    box = inbox(capacity=10)
    box.put([message(mid) for mid in range(1, 10)], NOW)
    assert not box.full
    box.put([message(10), message(11)], NOW)
    assert box.full
    assert len(box) == 11, "what is read is kept"
    box.take(5)
    assert not box.full
    assert not box.half_empty
    box.take(2)
    assert box.half_empty


def test_it_is_full_by_bytes_and_user_properties_count() -> None:
    box = inbox(capacity_bytes=1000)
    user = (("name", "x" * 500),)
    for _ in range(2):
        box.put(
            [wire.Publish(b"enms/telemetry/m", b"", 1, retained=False, again=False, mid=1, user=user)], NOW
        )
    assert box.full
    box.take(2)
    assert box.half_empty
    box.put([message(1, payload=b"x" * 1000)], NOW)
    assert box.full
    box.take(1)
    assert box.half_empty


def test_it_is_full_of_what_others_want_when_that_cannot_be_acknowledged_yet() -> None:
    box = Inbox("enms", 10, 10**6, wanted=lambda topic: topic == "telemetry/mine")
    box.put([message(1, "telemetry/mine")], NOW)
    batch = box.take(1)
    box.put([message(mid, "telemetry/others") for mid in range(2, 10 * MOST_WORKERS + 2)], NOW)
    assert box.full
    assert len(box.settle(batch)) == 10 * MOST_WORKERS + 1
    assert box.half_empty


def test_the_decision_on_a_topic_is_made_once_and_not_remembered_without_bound() -> None:
    asked: list[str] = []

    def wanted(topic: str) -> bool:
        asked.append(topic)
        return True

    box = Inbox("enms", 10, 10**6, wanted)
    for _ in range(3):
        box.put([message(1)], NOW)
    assert asked == ["telemetry/press-7"]
    box.put([message(1, f"telemetry/{number}") for number in range(KNOWN_TOPICS + 5)], NOW)
    assert len(box._names) <= KNOWN_TOPICS
