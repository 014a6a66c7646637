"""Refusals: counted always, told once a round for a source and reason, plain text whatever was sent."""

from datetime import timedelta

from fixtures.deliveries import NOW
from hypothesis import given
from hypothesis import strategies as st

from broker.messages import Rejected, decode, encode
from broker.telemetry import Refusal, read
from gateway.rejects import HEAD_BYTES, MOST_AT_ONCE, MOST_OF_A_MESSAGE, Rejects, describe

REFUSAL = Refusal("bad_name", "a field with a bad name", "x y")


def record(reason: str = "not_json", text: str = "not JSON", seconds: float = 0) -> Rejected:
    refusals = [Refusal(reason, text)]
    return describe(refusals, "telemetry/press-7", b"{", NOW + timedelta(seconds=seconds))[0]


def test_a_record_says_why_where_and_what() -> None:
    assert describe([REFUSAL], "telemetry/press-7", b'{"x y": 1}', NOW) == [
        Rejected(
            reason="bad_name",
            text="a field with a bad name",
            topic="telemetry/press-7",
            head='{"x y": 1}',
            size_bytes=10,
            ts=NOW,
            field="x y",
        )
    ]


@given(topic=st.text(), payload=st.binary(max_size=3 * HEAD_BYTES))
def test_whatever_was_sent_its_record_is_plain_printable_text(topic: str, payload: bytes) -> None:
    found = describe([REFUSAL], topic, payload, NOW)[0]
    assert found.size_bytes == len(payload)
    for text in (found.head, found.topic):
        assert text.isascii()
        assert not text or text.isprintable()
    assert decode(Rejected, encode(found)) == found


def test_only_the_first_kib_is_kept() -> None:
    found = describe([REFUSAL], "t", b"x" * HEAD_BYTES + b"SECRET", NOW)[0]
    assert found.head == "x" * HEAD_BYTES
    assert found.size_bytes == HEAD_BYTES + 6


def test_the_same_field_refused_in_every_row_is_one_record() -> None:
    rows = b"[" + b",".join([b'{"power_kw": "x", "a b": 1}'] * 1000) + b"]"
    refusals = read("telemetry/press-7", rows, NOW).refusals
    found = describe(refusals, "telemetry/press-7", rows, NOW)
    assert {(one.reason, one.field): one.count for one in found} == {
        ("not_a_number", "power_kw"): 1000,
        ("bad_name", "a b"): 1000,
    }


def test_a_message_with_every_field_wrong_makes_few_records_that_count_them_all() -> None:
    payload = b"{" + b",".join(b'"m%d": []' % number for number in range(20_000)) + b"}"
    refusals = read("telemetry/press-7", payload, NOW).refusals
    assert len(refusals) == 20_000
    found = describe(refusals, "telemetry/press-7", payload, NOW)
    assert len(found) == MOST_OF_A_MESSAGE
    assert sum(one.count for one in found) == len(refusals)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=2)), max_size=60))
def test_the_counts_of_the_records_add_up_to_the_refusals(pairs: list[tuple[str, str]]) -> None:
    found = describe([Refusal(reason, "why", field) for reason, field in pairs], "t", b"", NOW)
    assert sum(one.count for one in found) == len(pairs)


def test_of_each_source_and_reason_the_first_is_told_with_the_count() -> None:
    rejects = Rejects()
    for second in range(100):
        rejects.note("press-7", record(seconds=second))
    rejects.note("press-7", record("clock", "a clock"))
    rejects.note("", record())
    told = {(one.source, one.message.reason): one.message for one in rejects.news()}
    assert {key: message.count for key, message in told.items()} == {
        ("press-7", "not_json"): 100,
        ("press-7", "clock"): 1,
        ("unknown", "not_json"): 1,
    }
    assert told["press-7", "not_json"].ts == NOW


def test_a_round_tells_nothing_twice() -> None:
    rejects = Rejects()
    rejects.note("press-7", record())
    assert [one.message.count for one in rejects.news()] == [1]
    assert rejects.news() == []
    rejects.note("press-7", record())
    assert [one.message.count for one in rejects.news()] == [1]


def test_the_totals_count_for_ever() -> None:
    rejects = Rejects()
    for _ in range(3):
        rejects.note("press-7", record())
        rejects.news()
    assert rejects.total == {"not_json": 3}


def test_a_flood_from_many_sources_is_counted_whole_and_told_in_part() -> None:
    rejects = Rejects()
    for number in range(3 * MOST_AT_ONCE):
        rejects.note(f"press-{number}", record())
    assert len(rejects.news()) == MOST_AT_ONCE
    assert rejects.total == {"not_json": 3 * MOST_AT_ONCE}
