"""The simulated factory on a real Mosquitto."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from fixtures.broker import PrivateBroker

from broker.channels import ANNOUNCE, COMMAND, REPLY, SERVICE, TELEMETRY
from broker.messages import Announce, Command, Reply, Service
from broker.roles import Role
from broker.stream import Stream
from broker.telemetry import Reading, read
from broker.topics import CommandTopic, ServiceTopic
from devices.simulator import SimulatorConfig, run

PATIENCE_S = 30
PERIOD_S = 0.1


@asynccontextmanager
async def simulator(broker: PrivateBroker, **options: object) -> AsyncIterator[SimulatorConfig]:
    config = SimulatorConfig(
        bus=broker.address,
        password=broker.passwords["simulator"],
        outbox=broker.log.parent / "outbox" / "simulator.db",
        period_s=PERIOD_S,
        **options,  # type: ignore[arg-type]
    )
    task = asyncio.create_task(run(config))
    try:
        yield config
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Ear:
    """Hears telemetry for good and keeps each reading by machine and metric."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.readings: dict[tuple[str, str], list[Reading]] = defaultdict(list)
        self.lists = 0

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not enough():
                for delivery in await self.stream.batch(100, 0.01):
                    delivery.ack()
                    self.lists += delivery.payload.startswith(b"[")
                    parsed = read(delivery.topic, delivery.payload, delivery.arrived)
                    assert parsed.refusals == []
                    for reading in parsed.readings:
                        self.readings[reading.machine, reading.metric].append(reading)


async def test_every_machine_is_announced_and_sends_readings_at_whole_periods(broker: PrivateBroker) -> None:
    bus = broker.bus("gateway")
    announced, ear = bus.subscribe(ANNOUNCE), Ear(bus.subscribe(TELEMETRY))
    async with bus:
        await bus.wait_connected()
        async with simulator(broker):
            names = set()
            async with asyncio.timeout(PATIENCE_S):
                async for delivery in announced:
                    where, said = delivery.read(ANNOUNCE)
                    assert isinstance(said, Announce)
                    assert said.metrics
                    assert said.rated_power_kw
                    names.add(where.machine)
                    if len(names) == 14:
                        break
            await ear.until(lambda: len(ear.readings["oven-2", "power_kw"]) >= 3)
    assert {machine for machine, _ in ear.readings} == names
    times = [reading.ts for reading in ear.readings["oven-2", "power_kw"]]
    assert all(later - earlier >= timedelta(seconds=PERIOD_S) for earlier, later in pairwise(times))
    assert all(ts.microsecond % 100_000 == 0 for ts in times)


async def test_the_past_comes_first_as_lists_and_reaches_the_present(broker: PrivateBroker) -> None:
    bus = broker.bus("gateway")
    ear = Ear(bus.subscribe(TELEMETRY))
    async with bus:
        await bus.wait_connected()
        began = datetime.now(UTC)
        async with simulator(broker, machines=2, backfill=timedelta(hours=3)):
            series = ear.readings["boiler-1", "power_kw"]
            await ear.until(lambda: len(series) >= 182)
    past = [reading.ts for reading in series if reading.ts.second == 0 and reading.ts.microsecond == 0]
    assert past == sorted(past)
    assert began - past[0] < timedelta(hours=3)
    assert {later - earlier for earlier, later in pairwise(past)} == {timedelta(minutes=1)}
    assert len(past) in {180, 181}
    assert ear.lists in {2 * 3, 2 * 4}


async def test_a_fault_command_is_answered_and_acts_and_is_cleared(broker: PrivateBroker) -> None:
    await broker.user("erika", Role.ENGINEER)
    bus, engineer = broker.bus("gateway"), broker.bus("erika")
    ear = Ear(bus.subscribe(TELEMETRY))
    replies = engineer.subscribe(REPLY, user="erika")

    async def order(verb: str, name: str, **args: str | float) -> Reply:
        command = Command(id=name, args=dict(args))
        await engineer.publish(COMMAND, CommandTopic("erika", "simulator", verb), command)
        async with asyncio.timeout(PATIENCE_S):
            async for delivery in replies:
                _, reply = delivery.read(REPLY)
                assert isinstance(reply, Reply)
                if reply.id == name:
                    return reply
        raise AssertionError

    async with bus, engineer:
        await bus.wait_connected()
        await engineer.wait_connected()
        async with simulator(broker, machines=7):
            flow = ear.readings["pump-1", "temperature_c"]
            await ear.until(lambda: bool(flow))
            done = await order("fault", "one", machine="pump-1", fault="stuck_sensor", duration_s=600)
            assert done.ok, done
            again = await order("fault", "one", machine="pump-1", fault="stuck_sensor", duration_s=600)
            assert again == done
            assert (await order("faults", "two")).result["count"] == 1
            await ear.until(lambda: len(flow) >= 10 and len({reading.value for reading in flow[-5:]}) == 1)
            refused = await order("fault", "three", machine="pump-1", fault="gremlins")
            assert refused.error is not None
            assert "bearing_wear" in refused.error.text
            assert (await order("clear", "four", machine="pump-1")).ok
            await ear.until(lambda: len({reading.value for reading in flow[-5:]}) > 1)


async def test_what_happened_while_the_broker_was_away_is_sent_when_it_is_back(broker: PrivateBroker) -> None:
    bus = broker.bus("gateway", persistent=True)
    announced, ear = bus.subscribe(ANNOUNCE), Ear(bus.subscribe(TELEMETRY))
    async with bus:
        await bus.wait_connected()
        async with simulator(broker, machines=3):
            series = ear.readings["hvac-1", "power_kw"]
            await ear.until(lambda: len(series) >= 5)
            broker.stop()
            stopped = datetime.now(UTC)
            await asyncio.sleep(12 * PERIOD_S)  # the outage itself
            broker.start()
            back = datetime.now(UTC)
            await ear.until(lambda: series[-1].ts > back + timedelta(seconds=1))
    times = sorted({reading.ts for reading in series})
    assert back - stopped > timedelta(seconds=1)
    assert {round((b - a).total_seconds(), 3) for a, b in pairwise(times)} == {PERIOD_S}, "no beat is missing"
    heard = [delivery.read(ANNOUNCE)[0].machine for delivery in await announced.batch(100, 0.5)]
    assert heard.count("hvac-1") >= 2, "it introduces itself again"


async def test_a_gateway_that_starts_later_hears_who_is_there(broker: PrivateBroker) -> None:
    async with simulator(broker, machines=2):
        listener = broker.bus("detector")
        states = listener.subscribe(SERVICE, service="simulator")
        async with listener, asyncio.timeout(PATIENCE_S):
            async for delivery in states:
                where, service = delivery.read(SERVICE)
                assert where == ServiceTopic("simulator")
                assert isinstance(service, Service)
                if service.state == "ok":
                    break
        gateway = broker.bus("gateway", service="gateway", version="1")
        announced = gateway.subscribe(ANNOUNCE)
        async with gateway, asyncio.timeout(PATIENCE_S):
            await gateway.wait_connected()
            gateway.set_state("ok")
            heard = {delivery.read(ANNOUNCE)[0].machine for delivery in await announced.batch(2, 5)}
    assert heard == {"compressor-1", "boiler-1"}
