"""The topic page of the docs, and the access rules to read."""

import json
from typing import Any

from broker.access import Rule, personal_rules, rules
from broker.channels import CHANNELS, Channel
from broker.generate.asyncapi import who
from broker.roles import Role

_HEAD = """\
# Topics

Generated from `broker/channels.py` by `python -m broker.generate`; the same table gives the broker's access
rules, `docs/asyncapi.json` and the JSON Schemas in `broker/generated/schemas/`. Topics stand under the root,
`enms` unless set otherwise. A retained topic is a state: whoever subscribes gets it at once, an empty payload
means it is gone. An event is never retained.

| topic | content | QoS | retained | written by | read by |
|---|---|---|---|---|---|
"""


def topics_page() -> str:
    """Return docs/topics.md."""
    return _HEAD + "".join(_line(row) for row in CHANNELS)


def _line(row: Channel[Any, Any]) -> str:
    text = row.text if row.expiry_s is None else f"{row.text} Expires after {row.expiry_s} s."
    cells = (
        f"`{row.topic.pattern}`",
        text,
        str(row.qos),
        "yes" if row.retain else "no",
        who(row.writers),
        who(row.readers),
    )
    return "| " + " | ".join(cells) + " |\n"


def access_file() -> str:
    """Return broker/generated/access.json: what each role may do, `<own>` for the user's own name."""
    found = {
        str(role): {
            "role": _rules(rules(role, "enms")),
            "own": _rules(personal_rules(role, "<own>", "enms")),
        }
        for role in Role
    }
    return json.dumps(found, indent=1) + "\n"


def _rules(some: list[Rule]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for rule in some:
        grouped.setdefault(rule.kind, []).append(rule.topic)
    return grouped
