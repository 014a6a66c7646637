"""Every topic a flow uses is a channel's, and the flow's user has the right to it."""

import json
from pathlib import Path

import pytest

from broker.channels import CHANNELS, Channel
from broker.roles import Role
from broker.topics import Topic

FLOWS = sorted((Path(__file__).parents[2] / "flows").glob("*.json"))
ROOT = "enms/"
SECRETS = ("user", "password", "credentials")


def topics_of(flow: list[dict[str, object]], kind: str) -> list[str]:
    return [str(node["topic"]) for node in flow if node["type"] == kind and node["topic"]]


def channel_of(topic: str) -> Channel[Topic, object] | None:
    """Return the row whose topics this topic or filter stands for."""
    for row in CHANNELS:
        levels, found = row.topic.pattern.split("/"), topic.removeprefix(ROOT).split("/")
        if levels[-1] == "#":
            found = [*found[: len(levels) - 1], "#"]
        if len(levels) == len(found) and all(
            want == have or (want.startswith("<") and have != "#")
            for want, have in zip(levels, found, strict=True)
        ):
            return row
    return None


def unknown_topics(flow: list[dict[str, object]]) -> list[str]:
    found = topics_of(flow, "mqtt in") + topics_of(flow, "mqtt out")
    return [topic for topic in found if not topic.startswith(ROOT) or channel_of(topic) is None]


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.name)
def test_a_flow_uses_only_topics_of_the_contract(path: Path) -> None:
    flow = json.loads(path.read_text())
    assert topics_of(flow, "mqtt in") + topics_of(flow, "mqtt out"), "a flow that is not on the bus"
    assert unknown_topics(flow) == []


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.name)
def test_a_flow_asks_only_for_what_the_role_flows_may(path: Path) -> None:
    flow = json.loads(path.read_text())
    for kind, right in (("mqtt in", "readers"), ("mqtt out", "writers")):
        for topic in topics_of(flow, kind):
            row = channel_of(topic)
            assert row is not None
            assert Role.FLOWS in {grant.role for grant in getattr(row, right)}, (kind, topic)


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.name)
def test_a_flow_carries_no_secret(path: Path) -> None:
    for node in json.loads(path.read_text()):
        assert not any(node.get(secret) for secret in SECRETS), node["id"]


def test_a_topic_outside_the_contract_is_found() -> None:
    flow: list[dict[str, object]] = [
        {"type": "mqtt in", "topic": "enms/anomaly/+"},
        {"type": "mqtt in", "topic": "enms/anomalies/+"},
        {"type": "mqtt in", "topic": "other/anomaly/+"},
        {"type": "mqtt out", "topic": "enms/telemetry/press-7/power_kw/more"},
        {"type": "mqtt in", "topic": "enms/replay/+/anomaly/press-7"},
    ]
    assert unknown_topics(flow) == [
        "enms/anomalies/+",
        "other/anomaly/+",
        "enms/telemetry/press-7/power_kw/more",
    ]
