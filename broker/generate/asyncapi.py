"""The AsyncAPI 3 document of the bus."""

from typing import Any, Final

from broker.channels import CHANNELS, Channel
from broker.generate.schemas import components, schema
from broker.messages import Message
from broker.roles import Grant
from broker.topics import LEVELS

Json = dict[str, Any]

_RULES: Final = {name: rule.pattern for name, rule in LEVELS.items()}


def document(version: str) -> Json:
    """Return the document, seen from a client: what we write it receives, what it writes it sends."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "EnMS Gateway",
            "version": version,
            "description": "The topics of the bus. Times are RFC 3339 UTC with milliseconds.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "mqtt": {"host": "localhost:1883", "protocol": "mqtt", "protocolVersion": "5"},
            "websocket": {"host": "localhost:9001", "protocol": "ws", "protocolVersion": "5"},
        },
        "channels": {channel_id(row): _channel(row) for row in CHANNELS},
        "operations": {name: operation for row in CHANNELS for name, operation in _operations(row).items()},
        "components": {
            "schemas": components(),
            "messages": {channel_id(row): _message(row) for row in CHANNELS},
        },
    }


def channel_id(row: Channel[Any, Any]) -> str:
    """Return the row's name in the document: telemetry, telemetryMetric, systemAlert and so on."""
    pattern: str = row.topic.pattern
    words = [word for word in pattern.split("/") if not word.startswith(("<", "#"))]
    if "<metric>" in pattern:
        words.append("metric")
    return words[0] + "".join(w.capitalize() for w in words[1:])


def _channel(row: Channel[Any, Any]) -> Json:
    levels = [w[1:-1] for w in row.topic.pattern.split("/") if w.startswith("<")]
    address = row.topic.pattern.replace("<", "{").replace(">", "}")
    channel: Json = {
        "address": f"enms/{address}",
        "description": row.text,
        "messages": {channel_id(row): {"$ref": f"#/components/messages/{channel_id(row)}"}},
        "servers": [{"$ref": "#/servers/mqtt"}, {"$ref": "#/servers/websocket"}],
    }
    if levels:
        channel["parameters"] = {level: {"description": f"matches ^{_RULES[level]}$"} for level in levels}
    return channel


def _message(row: Channel[Any, Any]) -> Json:
    whole = issubclass(row.message, Message)
    payload = {"$ref": f"#/components/schemas/{row.message.__name__}"} if whole else schema(row)
    return {"name": channel_id(row), "contentType": "application/json", "payload": payload}


def _operations(row: Channel[Any, Any]) -> dict[str, Json]:
    name = channel_id(row)
    mqtt: Json = {"qos": row.qos, "retain": row.retain}
    if row.expiry_s is not None:
        mqtt["messageExpiryInterval"] = row.expiry_s
    common = {"channel": {"$ref": f"#/channels/{name}"}, "bindings": {"mqtt": mqtt}}
    title = name[0].upper() + name[1:]
    return {
        f"send{title}": {"action": "send", "summary": f"Written by {who(row.writers)}.", **common},
        f"receive{title}": {"action": "receive", "summary": f"Read by {who(row.readers)}.", **common},
    }


def who(grants: tuple[Grant, ...]) -> str:
    """Return the roles of some grants in words, with `(own)` where only their own name is meant."""
    words: dict[str, None] = {}
    for grant in grants:
        words[f"{grant.role} (own)" if grant.personal else str(grant.role)] = None
    return ", ".join(words) or "nobody"
