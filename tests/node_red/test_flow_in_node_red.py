"""The flow as it is imported, in a real Node-RED, on a real Mosquitto with the product's own rules."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broker.bus import Bus
from broker.channels import ANOMALY, MACHINE
from broker.messages import Anomaly, Contributor, Deviation, Machine, MetricInfo, ModelRef
from broker.roles import Role
from broker.topics import AnomalyTopic, MachineTopic

if TYPE_CHECKING:
    from fixtures.broker import PrivateBroker
    from node_red.conftest import NodeRed

FLOW = Path(__file__).parents[2] / "flows" / "anomaly-to-message.json"
STARTED = datetime(2026, 11, 21, 16, 10, tzinfo=UTC)
SENTENCE = "Compressor 1: power is 41.2 kW, expected 35.0 kW (+18 %), since 16:10, warning"


def filled_in(broker: "PrivateBroker", user: str, password: str) -> list[dict[str, Any]]:
    """Return the flow with what a user types into the broker node: address, user, password."""
    flow: list[dict[str, Any]] = json.loads(FLOW.read_text())
    (node,) = [one for one in flow if one["type"] == "mqtt-broker"]
    node["broker"], node["port"] = broker.address.host, broker.port
    node["credentials"] = {"user": user, "password": password}
    return flow


def anomaly() -> Anomaly:
    now = STARTED + timedelta(seconds=30)
    return Anomaly(
        anomaly_id="compressor-1-power_kw-1763741400",
        phase="opened",
        machine="compressor-1",
        machine_name="Compressor 1",
        metric="power_kw",
        value=41.2,
        expected=35.0,
        low=33.0,
        high=37.0,
        deviation=Deviation(absolute=6.2, sigma=6.2, pct=17.7),
        score=2.1,
        threshold=1.0,
        severity="warning",
        anomaly_type="level_shift",
        operating_state="running",
        contributors=(Contributor(metric="power_kw", share=1.0),),
        started_at=STARTED,
        duration_s=30.0,
        model=ModelRef(name="robust", version="1"),
        ts=now,
        published_at=now,
    )


async def say_until_heard(detector: Bus, node_red: "NodeRed", sentence: str, within_s: float) -> bool:
    """Publish the event until the sentence is logged: the flow subscribes when it is ready, not before."""
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        await detector.publish(ANOMALY, AnomalyTopic("compressor-1"), anomaly())
        if await node_red.logged(sentence, 0.3):
            return True
    return False


async def test_an_anomaly_on_the_bus_becomes_a_sentence_in_node_red(
    broker: "PrivateBroker", node_red: "NodeRed"
) -> None:
    password = await broker.user("node-red", Role.FLOWS)
    machine = Machine(
        machine="compressor-1",
        name="Compressor 1",
        first_seen=STARTED,
        metrics={"power_kw": MetricInfo(unit="kW")},
    )
    async with (
        broker.bus("gateway") as gateway,
        broker.bus("detector") as detector,
    ):
        gateway.keep(MACHINE, MachineTopic("compressor-1"), machine)
        await detector.wait_connected()
        await node_red.deploy(filled_in(broker, "node-red", password))
        heard = await say_until_heard(detector, node_red, SENTENCE, 20)
    assert heard, "\n".join(node_red.lines)


async def test_a_flow_with_a_wrong_password_says_so_in_the_log(
    broker: "PrivateBroker", node_red: "NodeRed"
) -> None:
    await node_red.deploy(filled_in(broker, "node-red", "wrong"))
    assert await node_red.logged("Connection failed to broker", 20), "\n".join(node_red.lines)
