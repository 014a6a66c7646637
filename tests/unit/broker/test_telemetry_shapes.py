"""The short way of reading telemetry, by the shape of the object, equals the careful one."""

import json
from typing import Any

import pytest
from fixtures.telemetry import EARLIER, EPOCH_S, NOW, anything, check, of, reasons, topics, values
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import careful, telemetry
from broker.telemetry import MAX_FIELDS, Parsed, Row, read

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
