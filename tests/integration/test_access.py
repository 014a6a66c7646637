"""Nobody is let further in than the table of channels says. What is delivered counts, not the SUBACK."""

import asyncio

import pytest
from fixtures.broker import PrivateBroker
from fixtures.mqtt_client import V5, V311, PlainClient

from broker.channels import CHANNELS, TELEMETRY
from broker.dynsec import BrokerAdmin
from broker.roles import Role

WAYS = [
    pytest.param(version, transport, id=f"{'v5' if version == V5 else 'v3.1.1'}-{transport}")
    for version in (V5, V311)
    for transport in ("tcp", "websockets")
]
SECRET_TOPICS = (
    "rejected/x",
    "system/security",
    "command/bob/alarms/acknowledge",
    "committed/press-7",
    "reply/bob/1",
)


@pytest.fixture
def staffed(broker: PrivateBroker) -> PrivateBroker:
    """A broker with a device, a viewer and an engineer."""

    async def add() -> None:
        for name, role in (("press-7", Role.DEVICE), ("anna", Role.VIEWER), ("bob", Role.ENGINEER)):
            await broker.user(name, role)

    asyncio.run(add())
    return broker


def connect(
    broker: PrivateBroker, user: str, version: int = V5, transport: str = "tcp", client_id: str | None = None
) -> PlainClient:
    port = broker.ws_port if transport == "websockets" else broker.port
    return PlainClient(
        port, user, broker.passwords[user], version=version, transport=transport, client_id=client_id
    )


@pytest.mark.parametrize(("version", "transport"), WAYS)
def test_a_device_is_heard_on_its_own_topics_only(
    staffed: PrivateBroker, version: int, transport: str
) -> None:
    with connect(staffed, "gateway") as gateway, connect(staffed, "press-7", version, transport) as device:
        for row in CHANNELS:
            gateway.subscribe(f"enms/{row.topic.filter()}")
        for topic in ("telemetry/press-8", "telemetry/press-8/power_kw", "anomaly/press-7", "status/gateway"):
            device.publish(f"enms/{topic}", "1")
        device.publish("enms/latest/press-7", "{}", retain=True)
        device.publish("$CONTROL/dynamic-security/v1", '{"commands":[{"command":"listClients"}]}')
        device.publish("enms/telemetry/press-7", '{"power_kw": 1}')
        got = gateway.heard(0.7)
    mine = [one for one in got if not one[0].startswith("enms/status/")]
    assert mine == [("enms/telemetry/press-7", b'{"power_kw": 1}')]


@pytest.mark.parametrize(("version", "transport"), WAYS)
def test_a_viewer_hears_the_root_but_no_secrets_and_is_never_heard(
    staffed: PrivateBroker, version: int, transport: str
) -> None:
    with (
        connect(staffed, "gateway") as gateway,
        connect(staffed, "detector") as detector,
        connect(staffed, "bob") as engineer,
        connect(staffed, "anna", version, transport) as viewer,
    ):
        for row in CHANNELS:
            gateway.subscribe(f"enms/{row.topic.filter()}")
        for topic in ("#", "$SYS/#", "$CONTROL/#", "enms/#", "enms/reply/bob/+", "enms/rejected/#"):
            viewer.subscribe(topic)
        viewer.heard(0.5)
        for topic in SECRET_TOPICS:
            (engineer if topic.startswith("command") else gateway).publish(f"enms/{topic}", "secret")
        detector.publish("enms/anomaly/press-7", "{}")
        for topic in ("telemetry/press-7", "telemetry/anna", "command/anna/alarms/acknowledge", "anomaly/x"):
            viewer.publish(f"enms/{topic}", "forged")
        assert viewer.heard(0.7) == [("enms/anomaly/press-7", b"{}")]
        assert not [one for one in gateway.heard(0.3) if one[1] == b"forged"]


@pytest.mark.parametrize(("version", "transport"), WAYS)
def test_nobody_is_let_in_without_a_good_log_in(staffed: PrivateBroker, version: int, transport: str) -> None:
    port = staffed.ws_port if transport == "websockets" else staffed.port
    for user, password in ((None, None), ("anna", "wrong"), ("anna", ""), ("nobody", "x"), ("", "")):
        stranger = PlainClient(port, user, password, version=version, transport=transport)
        assert not stranger.connect(), f"let in as {user!r} with {password!r}"
        stranger.close()


@pytest.mark.parametrize(("version", "transport"), WAYS)
async def test_the_ingests_client_id_cannot_be_taken_nor_its_queue(
    staffed: PrivateBroker, version: int, transport: str
) -> None:
    ingest = staffed.bus("gateway-ingest", persistent=True)
    stream = ingest.subscribe(TELEMETRY)
    async with ingest, asyncio.timeout(20):
        await ingest.wait_connected()
        held = ingest._connection
        thief = connect(staffed, "press-7", version, transport, client_id="gateway-ingest")
        try:
            await asyncio.to_thread(thief.connect)
            await asyncio.to_thread(thief.publish, "enms/telemetry/press-7", "1")
            assert [one.payload for one in await stream.batch(1, 1)] == [b"1"]
            assert await asyncio.to_thread(thief.heard, 0.3) == []
        finally:
            thief.close()
        assert ingest._connection is held, "the connection of the ingest was cut"


def test_an_engineer_commands_in_nobody_elses_name(staffed: PrivateBroker) -> None:
    with connect(staffed, "gateway") as gateway, connect(staffed, "bob") as engineer:
        gateway.subscribe("enms/command/+/alarms/+")
        engineer.publish("enms/command/anna/alarms/shelve", "forged")
        engineer.publish("enms/command/bob/alarms/shelve", "mine")
        assert gateway.heard(0.7) == [("enms/command/bob/alarms/shelve", b"mine")]


async def test_a_removed_user_is_cut_off_at_once(staffed: PrivateBroker) -> None:
    admin = BrokerAdmin(staffed.address, staffed.passwords["broker-admin"])
    task = asyncio.create_task(admin.run())
    viewer = connect(staffed, "anna")
    assert await asyncio.to_thread(viewer.connect)
    await admin.remove_user("anna", Role.VIEWER)
    assert await asyncio.to_thread(viewer.ended.wait, 5)
    viewer.close()
    assert "anna" not in await admin.users()
    task.cancel()
