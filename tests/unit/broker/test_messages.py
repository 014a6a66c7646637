"""Messages as JSON: times with three digits always, nothing null, errors that name the field."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.messages import (
    BadMessageError,
    Command,
    Committed,
    Latest,
    LatestValue,
    Machine,
    Say,
    Service,
    Status,
    decode,
    encode,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("microsecond", "written"),
    [(0, "05.000Z"), (678_000, "05.678Z"), (678_999, "05.678Z"), (1, "05.000Z"), (500_000, "05.500Z")],
)
def test_a_time_has_milliseconds_always(microsecond: int, written: str) -> None:
    message = Committed(boot="b", seq=1, ts=NOW.replace(microsecond=microsecond))
    assert encode(message) == f'{{"boot":"b","seq":1,"ts":"2026-01-02T03:04:{written}"}}'.encode()


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_comes_back_cut_to_milliseconds(ts: datetime) -> None:
    back = decode(Committed, encode(Committed(boot="b", seq=1, ts=ts))).ts
    assert timedelta() <= ts - back < timedelta(milliseconds=1)


@given(st.text(alphabet='T0123456789:.Z-"ab', max_size=40))
def test_a_text_that_looks_like_a_time_stays_as_it_is(text: str) -> None:
    say = Say(text=text, priority="low", dedupe="d", expires_at=NOW)
    assert decode(Say, encode(say)).text == text


@pytest.mark.parametrize(
    "text",
    [
        "at T03:04:05.123456Z",
        'T03:04:05Z"',
        "T03:04:05Z",
        "seen 2026-01-02T03:04:05Z",
        '"2026-01-02T03:04:05Z',
    ],
)
def test_a_text_with_a_time_in_it_stays_as_it_is(text: str) -> None:
    say = Say(text=text, priority="low", dedupe="d", expires_at=NOW)
    assert decode(Say, encode(say)).text == text


def test_what_has_no_value_is_left_out() -> None:
    assert encode(Status(state="online")) == b'{"state":"online"}'
    assert encode(Machine(machine="a", name="a", first_seen=NOW)) == (
        b'{"machine":"a","name":"a","first_seen":"2026-01-02T03:04:05.678Z"}'
    )


def test_a_message_comes_back_equal() -> None:
    latest = Latest(
        machine="a", values={"x": LatestValue(ts=NOW, value=1.5), "mode": LatestValue(ts=NOW, value="idle")}
    )
    assert decode(Latest, encode(latest)) == latest


def test_unknown_fields_are_ignored() -> None:
    assert decode(Status, b'{"state":"online","since":3}') == Status(state="online")


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (b'{"state":"asleep"}', r"\$\.state"),
        (b"{}", "state"),
        (b'{"state":"online","boot":5}', r"\$\.boot"),
        (b'["online"]', "array"),
        (b"", "truncated"),
        (b"online", "malformed"),
        (b'{"state":"\xff"}', "."),
        (b"[" * 100_000, "."),
    ],
)
def test_what_is_not_the_message_is_refused_and_the_field_named(payload: bytes, named: str) -> None:
    with pytest.raises(BadMessageError, match=named):
        decode(Status, payload)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(BadMessageError, match="ts"):
        decode(Committed, b'{"boot":"b","seq":1,"ts":"2026-01-02T03:04:05"}')


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    got = decode(Committed, b'{"boot":"b","seq":1,"ts":"2026-01-02T05:04:05.678+02:00"}')
    assert got.ts == NOW
    assert got.ts.astimezone(timezone(timedelta(hours=-5))) == NOW


@given(st.binary())
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    with pytest.raises(BadMessageError):
        decode(Service, payload)


@pytest.mark.parametrize("key", ["", "x" * 65])
def test_a_command_needs_an_id_of_sound_length(key: str) -> None:
    with pytest.raises(BadMessageError, match=r"\$\.id"):
        decode(Command, msgspec.json.encode({"id": key}))


def test_a_message_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Status(state="online").state = "offline"  # type: ignore[misc]
