"""JSON Schemas of the messages."""

from typing import Any, Final

import msgspec

from broker.channels import CHANNELS, Channel, Replayed, Telemetry
from broker.messages import Message

Json = dict[str, Any]

_FIELD: Final[Json] = {"type": ["number", "boolean", "string", "null", "object"]}
_ROW: Final[Json] = {
    "type": "object",
    "description": "Numbers by metric; a text is a state; one level of nesting is flattened with a dot.",
    "properties": {
        "ts": {
            "type": ["string", "number"],
            "description": "RFC 3339, epoch seconds or milliseconds; without it, the time of arrival. "
            "Also accepted as timestamp or time.",
        },
        "seq": {"type": "integer", "description": "Rises by one for each message of a boot."},
        "boot": {"type": "string", "description": "Changes when the source restarts."},
    },
    "additionalProperties": _FIELD,
}
TELEMETRY: Final[Json] = {
    "title": "Telemetry",
    "oneOf": [_ROW, {"type": "array", "items": _ROW, "minItems": 1, "maxItems": 5000}],
}
METRIC: Final[Json] = {
    "title": "MetricValue",
    "oneOf": [
        {"type": ["number", "boolean"]},
        {
            "type": "object",
            "properties": {"ts": {"type": ["string", "number"]}, "value": {"type": ["number", "boolean"]}},
            "required": ["value"],
        },
    ],
}
REPLAYED: Final[Json] = {
    "title": "Replayed",
    "description": "What the original channel carries; its levels follow the session.",
}


def message_types() -> list[type[Message]]:
    """Return every message type of the table once, in its order."""
    found = [row.message for row in CHANNELS if issubclass(row.message, Message)]
    return list(dict.fromkeys(found))


def components(ref: str = "#/components/schemas/{name}") -> dict[str, Json]:
    """Return the schema of every message and of what stands in it, by name."""
    _, found = msgspec.json.schema_components(message_types(), ref_template=ref)
    return dict(sorted(found.items()))


def schema(row: Channel[Any, Any]) -> Json:
    """Return the self-contained JSON Schema of what a channel carries."""
    if row.message is Telemetry:
        return TELEMETRY if "<metric>" not in row.topic.pattern else METRIC
    if row.message is Replayed:
        return REPLAYED
    return msgspec.json.schema(row.message)
