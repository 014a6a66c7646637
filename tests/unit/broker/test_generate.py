"""What is generated from the table is fresh, whole, and says what is really sent."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from broker import messages as m
from broker.channels import CHANNELS, Channel
from broker.generate.__main__ import TREE, files
from broker.generate.asyncapi import channel_id, document
from broker.generate.schemas import components, message_types, schema
from broker.topics import Topic

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
DOCUMENT = document("1.2.3")


def whole(kind: type[Any], number: int = 0) -> Any:  # noqa: PLR0911  one return a kind of type
    """A value of a message type with every field given, made from its types."""
    info: Any = msgspec.inspect.type_info(kind) if isinstance(kind, type) else kind
    made = {
        msgspec.inspect.StrType: "x1",
        msgspec.inspect.FloatType: 1.5,
        msgspec.inspect.IntType: 7,
        msgspec.inspect.BoolType: True,
        msgspec.inspect.DateTimeType: NOW,
        msgspec.inspect.AnyType: [1.5, "x1", {"x1": [True, None]}],
    }
    match info:
        case msgspec.inspect.StructType():
            return info.cls(**{one.name: whole(one.type, number) for one in info.fields})
        case msgspec.inspect.UnionType():
            options = [one for one in info.types if not isinstance(one, msgspec.inspect.NoneType)]
            return whole(options[number % len(options)], number)
        case msgspec.inspect.LiteralType():
            return info.values[number % len(info.values)]
        case msgspec.inspect.DictType():
            return {"x1": whole(info.value_type, number)}
        case msgspec.inspect.VarTupleType():
            return (whole(info.item_type, number),)
        case msgspec.inspect.TupleType():
            return tuple(whole(one, number) for one in info.item_types)
        case msgspec.inspect.Metadata():
            return whole(info.type, number)
    return made[type(info)]


def refs(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        if isinstance(found.get("$ref"), str):
            yield found["$ref"]
        for value in found.values():
            yield from refs(value)
    elif isinstance(found, list):
        for value in found:
            yield from refs(value)


def resolve(ref: str, root: Any) -> Any:
    for step in ref.removeprefix("#/").split("/"):
        root = root[step]
    return root


def accepts(rule: dict[str, Any], value: Any, root: Any) -> bool:  # noqa: PLR0911  one return a word
    """Whether a value fits a schema, for the words of JSON Schema that ours use."""
    if "$ref" in rule:
        return accepts(resolve(rule["$ref"], root), value, root)
    if "anyOf" in rule:
        return any(accepts(one, value, root) for one in rule["anyOf"])
    if "enum" in rule:
        return value in rule["enum"]
    kinds = {
        "string": isinstance(value, str),
        "number": isinstance(value, (int, float)) and not isinstance(value, bool),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "null": value is None,
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
    }
    if not kinds[rule["type"]]:
        return False
    if isinstance(value, dict):
        fields = rule.get("properties", {})
        more = rule.get("additionalProperties")
        if not fields and more is None:  # an object of anything
            return True
        return set(rule.get("required", ())) <= set(value) and all(
            accepts(fields.get(name, more), inner, root) if fields.get(name, more) else name in fields
            for name, inner in value.items()
        )
    if isinstance(value, list):
        each = rule.get("prefixItems") or [rule["items"]] * len(value)
        return len(each) == len(value) and all(map(lambda a, b: accepts(a, b, root), each, value))
    return True


@pytest.mark.parametrize("name", files())
def test_what_is_in_the_tree_is_fresh(name: str) -> None:
    assert (TREE / name).read_text() == files()[name], "run `python -m broker.generate`"


def test_no_schema_is_left_of_a_channel_that_is_gone() -> None:
    there = {
        f"broker/generated/schemas/{path.name}" for path in (TREE / "broker/generated/schemas").iterdir()
    }
    assert there == {name for name in files() if name.startswith("broker/generated/schemas/")}


def test_every_channel_has_a_name_of_its_own() -> None:
    assert len({channel_id(row) for row in CHANNELS}) == len(CHANNELS)


def test_every_reference_of_the_asyncapi_document_resolves() -> None:
    found = list(refs(DOCUMENT))
    assert len(found) > len(CHANNELS)
    for ref in found:
        assert resolve(ref, DOCUMENT)


def test_the_asyncapi_document_has_every_channel_with_both_directions() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert set(DOCUMENT["channels"]) == {channel_id(row) for row in CHANNELS}
    for row in CHANNELS:
        name = channel_id(row)
        title = name[0].upper() + name[1:]
        for way in ("send", "receive"):
            operation = DOCUMENT["operations"][f"{way}{title}"]
            assert operation["action"] == way
            assert operation["channel"] == {"$ref": f"#/channels/{name}"}
            assert operation["bindings"]["mqtt"]["qos"] == row.qos
            assert operation["bindings"]["mqtt"]["retain"] == row.retain


def test_every_parameter_of_an_address_is_declared() -> None:
    for channel in DOCUMENT["channels"].values():
        assert set(re.findall("{(.*?)}", channel["address"])) == set(channel.get("parameters", ()))


def test_the_document_is_plain_json() -> None:
    assert json.loads(json.dumps(DOCUMENT, allow_nan=False)) == DOCUMENT


@pytest.mark.parametrize("kind", message_types(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("number", range(3))
def test_a_message_fits_its_schema_and_comes_back_equal(kind: type[m.Message], number: int) -> None:
    message = whole(kind, number)
    encoded = m.encode(message)
    assert m.decode(kind, encoded) == message
    schemas = {"components": {"schemas": components()}}
    assert accepts(components()[kind.__name__], json.loads(encoded), schemas)


@pytest.mark.parametrize("kind", message_types(), ids=lambda kind: kind.__name__)
def test_what_is_not_the_message_does_not_fit_its_schema(kind: type[m.Message]) -> None:
    schemas = {"components": {"schemas": components()}}
    rule = components()[kind.__name__]
    fields = json.loads(m.encode(whole(kind)))
    for name in rule["required"]:
        assert not accepts(rule, {key: value for key, value in fields.items() if key != name}, schemas)
        assert not accepts(rule, {**fields, name: [[]]}, schemas)


@pytest.mark.parametrize("row", CHANNELS, ids=lambda row: row.topic.pattern)
def test_a_schema_stands_by_itself(row: Channel[Topic, object]) -> None:
    alone = schema(row)
    for ref in refs(alone):
        assert resolve(ref, alone)


def test_the_pages_types_name_every_message_and_channel() -> None:
    text = files()["web/src/contract.ts"]
    for row in CHANNELS:
        assert f'pattern: "{row.topic.pattern}"' in text
    for name in components():
        assert f"export interface {name} {{" in text
    used = set(re.findall(r": (?:Record<string, )?([A-Z]\w+)", text)) - {"Record"}
    assert used <= set(components())
