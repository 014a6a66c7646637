"""The types of the page, from the same table."""

from typing import Any

from broker.channels import CHANNELS
from broker.generate.asyncapi import channel_id
from broker.generate.schemas import components
from broker.messages import Message

Json = dict[str, Any]

_HEAD = """\
// Generated from broker/channels.py by `python -m broker.generate`. Change it there.
/* eslint-disable */

"""
_PLAIN = {
    "string": "string",
    "boolean": "boolean",
    "null": "null",
    "number": "number",
    "integer": "number",
}
_REF = "#/components/schemas/"


def source() -> str:
    """Return web/src/contract.ts: an interface a message, and the channels with their topics."""
    parts = [_HEAD, *(_interface(name, one) for name, one in components().items())]
    parts.append("export const CHANNELS = {\n")
    parts.extend(
        f'  {channel_id(row)}: {{ pattern: "{row.topic.pattern}", qos: {row.qos}, '
        f"retain: {str(row.retain).lower()} }},\n"
        for row in CHANNELS
    )
    parts.append("} as const;\n\nexport type ChannelName = keyof typeof CHANNELS;\n\n")
    parts.append("export interface Messages {\n")
    for row in CHANNELS:
        kind = row.message.__name__ if issubclass(row.message, Message) else "unknown"
        parts.append(f"  {channel_id(row)}: {kind};\n")
    parts.append("}\n")
    return "".join(parts)


def _interface(name: str, one: Json) -> str:
    lines = [f"export interface {name} {{\n"]
    required = set(one.get("required", ()))
    for field, kind in one.get("properties", {}).items():
        mark = "" if field in required else "?"
        lines.append(f"  {field}{mark}: {_type(kind, optional=field not in required)};\n")
    lines.append("}\n\n")
    return "".join(lines)


def _type(kind: Json, *, optional: bool = False) -> str:
    if "$ref" in kind:
        return str(kind["$ref"]).removeprefix(_REF)
    if "enum" in kind:
        return " | ".join(f'"{one}"' for one in kind["enum"])
    if "anyOf" in kind:
        # A field without a value is left out, never null: null stands only where it may be sent.
        options = [_type(one) for one in kind["anyOf"]]
        return " | ".join(one for one in options if not (optional and one == "null"))
    if "additionalProperties" in kind:
        return f"Record<string, {_type(kind['additionalProperties'])}>"
    if kind.get("type") == "object":
        return "Record<string, unknown>"
    if "prefixItems" in kind:
        return "[" + ", ".join(_type(one) for one in kind["prefixItems"]) + "]"
    return _PLAIN.get(kind.get("type", "")) or _array(kind)


def _array(kind: Json) -> str:
    inner = _type(kind["items"])
    return f"({inner})[]" if "|" in inner else f"{inner}[]"
