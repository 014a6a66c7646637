"""What devices send is read without trust: nothing raises, nothing vanishes."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from fixtures.telemetry import EARLIER, EPOCH_S, NOW, anything, check, of, reasons, scalars, topics, values
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.telemetry import (
    FUTURE,
    MAX_BYTES,
    MAX_FIELDS,
    MAX_ROWS,
    MAX_TEXT,
    PAST,
    Reading,
    State,
    read,
)


@given(topic=st.one_of(topics, st.text()), payload=st.binary())
def test_no_bytes_on_any_topic_raise(topic: str, payload: bytes) -> None:
    check(read(topic, payload, NOW))


@settings(max_examples=300)
@given(topic=topics, body=anything)
def test_no_json_raises_and_what_is_taken_is_sound(topic: str, body: Any) -> None:
    check(of(body, topic))


@given(st.dictionaries(st.from_regex(r"\A[a-z][a-z_]{0,12}\Z"), scalars, min_size=1, max_size=20))
def test_every_field_of_an_object_is_a_reading_or_a_state_or_refused_or_null(body: dict[str, Any]) -> None:
    body = {f"x_{name}": value for name, value in body.items()}
    parsed = of(body)
    if reasons(parsed) in (["not_json"], ["too_large"]):
        assert not parsed.readings
        return
    nulls = sum(value is None for value in body.values())
    found = [one.metric for one in parsed.readings]
    found += [one.field for one in parsed.states]
    found += [str(one.field) for one in parsed.refusals]
    assert len(found) == len(set(found)) == len(body) - nulls


def test_numbers_by_metric_are_readings_at_the_time_given() -> None:
    parsed = of({"ts": EARLIER.isoformat(), "power_kw": 31.2, "temperature_c": 61})
    assert parsed.readings == [
        Reading("press-7", "power_kw", EARLIER, 31.2),
        Reading("press-7", "temperature_c", EARLIER, 61.0),
    ]
    assert not parsed.states
    assert not parsed.refusals


@pytest.mark.parametrize("name", ["ts", "timestamp", "time"])
@pytest.mark.parametrize(
    "time",
    [
        "2026-03-04T11:59:30.250Z",
        "2026-03-04T12:59:30.250+01:00",
        "2026-03-04T06:29:30.25-05:30",
        "2026-03-04 11:59:30.250000+00:00",
        EPOCH_S,
        EPOCH_S * 1000,
        int(EPOCH_S * 1000),
    ],
)
def test_a_time_is_rfc_3339_or_epoch_seconds_or_milliseconds(name: str, time: str | float) -> None:
    assert of({name: time, "a": 1}).readings == [Reading("press-7", "a", EARLIER, 1.0)]


@pytest.mark.parametrize("body", [{"a": 1}, {"ts": None, "a": 1}])
def test_without_a_time_the_time_of_arrival_stands(body: dict[str, Any]) -> None:
    assert of(body).readings == [Reading("press-7", "a", NOW, 1.0)]


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ("yesterday", "bad_time"),
        ("2026-03-04T11:59:30", "bad_time"),
        ("", "bad_time"),
        (True, "bad_time"),
        ([1], "bad_time"),
        ({"s": 1}, "bad_time"),
        ("9999-12-31T23:59:59-12:00", "clock"),
        (10**400, "clock"),
        (-(10**300), "clock"),
        (1e308, "clock"),
        (0, "clock"),
        ((NOW + FUTURE).timestamp() + 1, "clock"),
        ((NOW - PAST).timestamp() - 1, "clock"),
    ],
)
def test_a_time_that_is_none_or_years_off_is_refused_with_its_row(time: Any, reason: str) -> None:
    parsed = of([{"ts": time, "a": 1}, {"a": 2}])
    assert [one.reason for one in parsed.refusals] == [reason]
    assert values(parsed) == {"a": 2.0}


@pytest.mark.parametrize("edge", [NOW + FUTURE, NOW - PAST])
def test_the_edges_of_the_time_allowed_are_taken(edge: datetime) -> None:
    assert of({"ts": edge.isoformat(), "a": 1}).readings[0].ts == edge


def test_a_list_is_a_message_a_row() -> None:
    later = EARLIER + timedelta(seconds=1)
    parsed = of([{"ts": EARLIER.isoformat(), "a": 1}, {"ts": later.isoformat(), "a": 2}, 7])
    assert [(one.ts, one.value) for one in parsed.readings] == [(EARLIER, 1.0), (later, 2.0)]
    assert [(one.reason, "row 2" in one.text) for one in parsed.refusals] == [("wrong_shape", True)]


def test_one_level_of_nesting_is_flattened_with_a_dot_and_no_more() -> None:
    parsed = of({"electricity": {"power_kw": 3, "phase": {"l1_a": 1}, "all": [1]}, "air": {}, "a": 1})
    assert values(parsed) == {"electricity.power_kw": 3.0, "a": 1.0}
    assert [(one.reason, one.field) for one in parsed.refusals] == [
        ("too_deep", "electricity.phase"),
        ("too_deep", "electricity.all"),
    ]


def test_booleans_are_one_and_zero_and_null_is_no_reading() -> None:
    parsed = of({"running": True, "door_open": False, "power_kw": None})
    assert values(parsed) == {"running": 1.0, "door_open": 0.0}
    assert not parsed.refusals


def test_a_text_is_a_state_unless_its_name_carries_a_unit() -> None:
    parsed = of({"operating_mode": "idle", "power_kw": "31.2", "temperature_c": "NaN"})
    assert parsed.states == [State("press-7", "operating_mode", NOW, "idle")]
    assert [(one.reason, one.field) for one in parsed.refusals] == [
        ("not_a_number", "power_kw"),
        ("not_a_number", "temperature_c"),
    ]


@pytest.mark.parametrize("text", ["a\0b", "line\nline", "\x1b[2J", "x" * (MAX_TEXT + 1)])
def test_a_state_is_short_and_printable(text: str) -> None:
    parsed = of({"mode": text, "a": 1})
    assert reasons(parsed) == ["bad_text"]
    assert values(parsed) == {"a": 1.0}


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "ünit", "x" * 65, "a b", ".a", "a\0"])
def test_a_field_whose_name_cannot_be_a_topic_is_refused_alone(name: str) -> None:
    parsed = of({name: 1, "a": 2})
    assert reasons(parsed) == ["bad_name"]
    assert values(parsed) == {"a": 2.0}


@pytest.mark.parametrize("number", ["1e301", "-1e301", "9" * 400])
def test_a_number_beyond_all_measure_is_refused_alone(number: str) -> None:
    parsed = read("telemetry/press-7", f'{{"a": {number}, "b": 1}}'.encode(), NOW)
    assert [(one.reason, one.field) for one in parsed.refusals] == [("out_of_range", "a")]
    assert values(parsed) == {"b": 1.0}


@pytest.mark.parametrize(
    "number", ["1", "1.0", "true", '{"value": 1}', '{"ts": null, "value": 1, "unit": "kW"}']
)
def test_a_metrics_own_topic_takes_a_bare_number_or_an_object_with_value(number: str) -> None:
    parsed = read("telemetry/press-7/power_kw", number.encode(), NOW)
    assert parsed.readings == [Reading("press-7", "power_kw", NOW, 1.0)]
    assert not parsed.refusals


def test_a_metrics_own_topic_takes_a_time_with_the_value() -> None:
    parsed = of({"ts": EPOCH_S, "value": 2}, "telemetry/press-7/power_kw")
    assert parsed.readings == [Reading("press-7", "power_kw", EARLIER, 2.0)]


@pytest.mark.parametrize("body", [{}, {"val": 1}, [1], {"value": [1]}, {"value": {"a": 1}}])
def test_a_metrics_own_topic_takes_nothing_else(body: Any) -> None:
    parsed = of(body, "telemetry/press-7/power_kw")
    assert reasons(parsed) == ["wrong_shape"]
    assert parsed.machine == "press-7"


@pytest.mark.parametrize(
    "topic", ["telemetry", "telemetry/a/b/c", "telemetry/ä", "anomaly/a", "telemetry//x", ""]
)
def test_a_topic_that_is_none_of_ours_is_refused_without_a_machine(topic: str) -> None:
    parsed = of({"a": 1}, topic)
    assert reasons(parsed) == ["bad_topic"]
    assert not parsed.machine


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"{}", "empty"),
        (b"[]", "empty"),
        (b'{"seq": 1, "boot": "b"}', "empty"),
        (b"power=3", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": Infinity}', "not_json"),
        (b'{"a": 1e999}', "not_json"),
        (b'{"a": "\\ud800"}', "not_json"),
        (b'{"\\udc00": 1}', "not_json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not_json"),
        (b"[" * 100_000, "too_deep"),
        (b"3", "wrong_shape"),
        (b"null", "wrong_shape"),
        (b'"on"', "wrong_shape"),
        (b" " * (MAX_BYTES + 1), "too_large"),
        (b"[" + b"{}," * MAX_ROWS + b"{}]", "too_many"),
    ],
)
def test_a_message_of_which_nothing_can_be_taken_says_why(payload: bytes, reason: str) -> None:
    parsed = read("telemetry/press-7", payload, NOW)
    assert reasons(parsed) == [reason]
    assert parsed.machine == "press-7"


def test_of_too_many_fields_the_first_are_taken() -> None:
    parsed = of({f"m{number}": number for number in range(MAX_FIELDS + 10)})
    assert len(parsed.readings) == MAX_FIELDS
    assert reasons(parsed) == ["too_many"]


def test_an_object_of_refused_fields_is_not_called_empty_too() -> None:
    assert reasons(of({"a": [1], "b": {"c": {}}})) == ["not_a_number", "too_deep"]


def test_a_list_of_the_longest_kind_is_taken() -> None:
    assert len(of([{"a": 1}] * MAX_ROWS).readings) == MAX_ROWS


def test_what_numbers_a_message_is_no_reading() -> None:
    assert values(of({"seq": 7, "boot": "2", "a": 1})) == {"a": 1.0}
