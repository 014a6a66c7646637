"""A source's own number for a message, as fields of the payload or as user properties."""

from typing import Any

import pytest
from fixtures.telemetry import NOW, of, reasons, values
from hypothesis import given
from hypothesis import strategies as st

from broker.telemetry import Number, State, number_of


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
