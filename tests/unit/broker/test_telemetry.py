"""What devices send is read without trust: nothing raises, nothing vanishes."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import careful, telemetry
from broker.telemetry import (
    FUTURE,
    MAX_BYTES,
    MAX_FIELDS,
    MAX_ROWS,
    MAX_TEXT,
    PAST,
    Number,
    Parsed,
    Reading,
    Row,
    State,
    number_of,
    read,
)

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
EARLIER = datetime(2026, 3, 4, 11, 59, 30, 250_000, tzinfo=UTC)
EPOCH_S = EARLIER.timestamp()

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(),
    st.sampled_from([EPOCH_S, EPOCH_S * 1000, EARLIER.isoformat(), "nan", "2026-03-04"]),
)
names = st.one_of(
    st.text(),
    st.sampled_from(["ts", "time", "timestamp", "seq", "boot", "client", "power_kw", "mode", "value"]),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(names, inner, max_size=6),
    max_leaves=30,
)
topics = st.sampled_from(["telemetry/press-7", "telemetry/press-7/power_kw"])


def of(body: Any, topic: str = "telemetry/press-7") -> Parsed:
    return read(topic, json.dumps(body).encode(), NOW)


def values(parsed: Parsed) -> dict[str, float]:
    return {one.metric: one.value for one in parsed.readings}


def reasons(parsed: Parsed) -> list[str]:
    return [one.reason for one in parsed.refusals]


def check(parsed: Parsed) -> None:
    assert parsed.readings or parsed.states or parsed.refusals or parsed.machine
    for row in parsed.rows:
        assert len(set(row.metrics)) == len(row.metrics) == len(row.values) > 0
        assert (row.machine, row.arrived) == (parsed.machine, NOW)
    assert parsed.untimed is any(one.ts is NOW for one in [*parsed.rows, *parsed.states])
    for reading in parsed.readings:
        assert math.isfinite(reading.value)
        assert type(reading.value) is float
        assert NOW - PAST <= reading.ts <= NOW + FUTURE
        assert reading.ts.tzinfo is UTC
    for state in parsed.states:
        assert NOW - PAST <= state.ts <= NOW + FUTURE
        assert state.text.isprintable()
        assert len(state.text) <= MAX_TEXT
    for refusal in parsed.refusals:
        assert refusal.reason
        assert refusal.text
        f"{refusal.text}{refusal.field}".encode()


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


plain_names = st.sampled_from(
    ["ts", "time", "seq", "boot", "client", "power_kw", "mode", "a", "b", "a.b", "ü"]
)
plain_values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**70), 2**70),
    st.sampled_from(
        [EPOCH_S, int(EPOCH_S * 1000), EARLIER.isoformat(), "idle", None, True, -0.0, 1e300, 1e301]
    ),
)
nearly_plain = st.dictionaries(
    plain_names, plain_values | st.dictionaries(plain_names, plain_values, max_size=2), max_size=7
)


@settings(max_examples=200)
@given(topic=topics, body=nearly_plain | st.lists(nearly_plain, max_size=4) | plain_values | anything)
def test_the_short_way_and_the_careful_way_read_the_same(topic: str, body: Any) -> None:
    payload = json.dumps(body).encode()
    short, care = read(topic, payload, NOW), careful.read(topic, payload, NOW)
    # Written out, because -0.0 equals 0.0 and True equals 1.
    assert repr(short) == repr(care)
    check(short)


@given(topic=topics | st.text(), payload=st.binary() | st.sampled_from([b"", b"[" * 100_000, b"[]", b"{}"]))
def test_the_short_way_and_the_careful_way_refuse_the_same(topic: str, payload: bytes) -> None:
    assert read(topic, payload, NOW) == careful.read(topic, payload, NOW)


def test_an_object_is_one_row_of_its_time_and_arrival() -> None:
    parsed = of({"power_kw": 31.2, "ts": EARLIER.isoformat(), "temperature_c": 61})
    row = Row("press-7", EARLIER, NOW, ("power_kw", "temperature_c"), (31.2, 61.0))
    assert parsed == Parsed("press-7", [row])


def test_rows_of_the_same_names_share_them() -> None:
    first, second = of([{"a": 1, "b": 2}, {"a": 3, "b": 4}]).rows
    assert first.metrics is second.metrics is of({"a": 5, "b": 6}).rows[0].metrics


def test_the_shapes_remembered_are_bounded() -> None:
    for number in range(telemetry.MAX_SHAPES + 100):
        of({f"a{number}": 1})
    for number in range(telemetry.MAX_SHAPE_NAMES // 200 + 100):
        of({f"b{number}_{field}": 1 for field in range(200)})
    assert len(telemetry._shapes) <= telemetry.MAX_SHAPES
    assert sum(map(len, telemetry._shapes)) <= telemetry.MAX_SHAPE_NAMES + MAX_FIELDS
    assert values(of({"a1": 1})) == {"a1": 1.0}


@pytest.mark.parametrize("name", ["x" * 65, "", "ü"])
def test_a_shape_of_a_name_that_is_refused_is_not_remembered(name: str) -> None:
    for _ in range(2):
        assert reasons(of({name: 1, "a": 2})) == ["bad_name"]
    assert not any(name in shape for shape in telemetry._shapes)


@pytest.mark.parametrize(
    ("body", "untimed"),
    [
        ({"a": 1}, True),
        ({"mode": "idle"}, True),
        ({"ts": EPOCH_S, "a": 1, "mode": "idle"}, False),
        ({"ts": EPOCH_S, "mode": "idle"}, False),
        ([{"ts": EPOCH_S, "a": 1}, {"a": 1}], True),
        ({"a": None}, False),
        ({"a": "1e"}, True),
    ],
)
def test_what_got_the_time_of_arrival_is_said(body: Any, *, untimed: bool) -> None:
    assert of(body).untimed is untimed


def test_a_name_that_nesting_makes_twice_is_read_once() -> None:
    assert of({"x.y": 1, "x": {"y": 2, "z": 3}}).rows == [
        Row("press-7", NOW, NOW, ("x.y", "x.z"), (1.0, 3.0))
    ]


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


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"seq": 0, "boot": "b"}, Number("press-7", "b", 0)),
        ({"seq": 2**63 - 1, "boot": 12}, Number("press-7", "12", 2**63 - 1)),
        ({"seq": 7, "boot": "b" * 64, "client": "hall-2"}, Number("hall-2", "b" * 64, 7)),
    ],
)
def test_seq_and_boot_number_a_message(fields: dict[str, Any], number: Number) -> None:
    for body in (fields | {"a": 1}, [fields | {"a": 1}], fields | {"a": {"b": None}}):
        assert of(body).numbers == [number]
        assert not of(body).states
    assert of(fields | {"value": 1}, "telemetry/press-7/power_kw").numbers == [number]


@pytest.mark.parametrize(
    "fields",
    [
        {"seq": 7},
        {"boot": "b"},
        {"seq": -1, "boot": "b"},
        {"seq": 2**63, "boot": "b"},
        {"seq": 7.0, "boot": "b"},
        {"seq": True, "boot": "b"},
        {"seq": "7", "boot": "b"},
        {"seq": 7, "boot": ""},
        {"seq": 7, "boot": "b" * 65},
        {"seq": 7, "boot": 10**64},
        {"seq": 7, "boot": True},
        {"seq": 7, "boot": 1.5},
        {"seq": 7, "boot": "a\nb"},
        {"seq": 7, "boot": None},
        {"seq": 7, "boot": "b", "client": "a/b"},
        {"seq": 7, "boot": "b", "client": 3},
    ],
)
def test_what_is_no_proper_number_is_ignored_and_never_a_reading(fields: dict[str, Any]) -> None:
    parsed = of(fields | {"a": 1})
    assert not parsed.numbers
    assert values(parsed) == {"a": 1.0}
    assert not parsed.states
    assert not parsed.refusals


def test_a_client_is_a_field_like_any_other_where_nothing_is_numbered() -> None:
    assert of({"client": "hall-2", "seq": 7}).states == [State("press-7", "client", NOW, "hall-2")]
    assert values(of({"client": 3})) == {"client": 3.0}


def test_a_message_refused_for_its_clock_keeps_its_number() -> None:
    parsed = of({"ts": 0, "seq": 7, "boot": "b", "a": 1})
    assert reasons(parsed) == ["clock"]
    assert parsed.numbers == [Number("press-7", "b", 7)]


@pytest.mark.parametrize(
    ("properties", "number"),
    [
        ([("seq", "7"), ("boot", "b")], Number("press-7", "b", 7)),
        ([("boot", "12"), ("client", "hall-2"), ("seq", "0"), ("other", "x")], Number("hall-2", "12", 0)),
        ([("seq", str(2**63 - 1)), ("boot", "b")], Number("press-7", "b", 2**63 - 1)),
        ([("seq", "7"), ("seq", "8"), ("boot", "b")], Number("press-7", "b", 8)),
        ([], None),
        ([("seq", "7")], None),
        ([("boot", "b")], None),
        ([("seq", "-7"), ("boot", "b")], None),
        ([("seq", "7.0"), ("boot", "b")], None),
        ([("seq", " 7"), ("boot", "b")], None),
        ([("seq", "\u0667"), ("boot", "b")], None),
        ([("seq", str(2**63)), ("boot", "b")], None),
        ([("seq", "9" * 5000), ("boot", "b")], None),
        ([("seq", "7"), ("boot", "")], None),
        ([("seq", "7"), ("boot", "b"), ("client", "a/b")], None),
    ],
)
def test_user_properties_number_a_message(properties: list[tuple[str, str]], number: Number | None) -> None:
    assert number_of(properties, "press-7") == number


def test_a_message_of_no_machine_is_numbered_only_by_its_client() -> None:
    numbered = [("seq", "7"), ("boot", "b")]
    assert number_of(numbered, "") is None
    assert number_of([*numbered, ("client", "hall-2")], "") == Number("hall-2", "b", 7)


@given(st.lists(st.tuples(st.sampled_from(["seq", "boot", "client"]) | st.text(), st.text())), st.text())
def test_no_user_properties_raise(properties: list[tuple[str, str]], machine: str) -> None:
    number = number_of(properties, machine)
    assert number is None or (0 <= number.seq < 2**63 and 1 <= len(number.boot) <= 64)
