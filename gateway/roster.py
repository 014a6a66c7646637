"""All machines, also those of other workers of this gateway: what these tell on the bus is taken over."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog

from broker.bus import Bus
from broker.channels import HEALTH, LATEST, MACHINE, SERVICE
from broker.messages import BadMessageError, Health, Latest, Machine
from broker.roles import gateway_user
from broker.stream import Delivery
from broker.telemetry import Row
from broker.topics import BadTopicError
from gateway.registry import Registry
from gateway.sharing import Share

log = structlog.get_logger()


class Roster:
    """The registry of this worker, and beside it what the others tell of theirs."""

    def __init__(self, registry: Registry, bus: Bus, share: Share) -> None:
        self._registry = registry
        self._share = share
        self._stream = bus.subscribe(MACHINE, LATEST, HEALTH, SERVICE) if share.count > 1 else None
        self._machines: dict[str, Machine] = {}
        self._latest: dict[str, Latest] = {}
        self._health: dict[str, Health] = {}
        self._others = [gateway_user(index) for index in range(share.count) if index != share.index]
        self._states = dict.fromkeys(self._others, "not seen yet")

    def names(self) -> list[str]:
        """Return the names of all machines, sorted."""
        return sorted({*self._registry.names(), *self._machines})

    def machine(self, name: str) -> Machine | None:
        """Return what is known of a machine, None where it was never seen."""
        return self._registry.machine(name) or self._machines.get(name)

    def state_of(self, name: str, now: datetime) -> tuple[Machine, Latest, Health] | None:
        """Return a machine with its last values and health, None where it was never seen."""
        own = self._registry.state_of(name, now)
        if own is not None or name not in self._machines or name not in self._health:
            return own
        latest = self._latest.get(name) or Latest(machine=name, values={})
        return self._machines[name], latest, self._health[name]

    def learn(self, name: str, rows: Sequence[Row], units: Mapping[str, str], now: datetime) -> None:
        """Take in history, as `Registry.learn` does. Another worker's machine is left to that one.

        It alone may tell of it, and knows what was imported from its next message or start on.
        """
        if self._share.owns(name):
            self._registry.learn(name, rows, units, now)

    def workers(self) -> dict[str, str]:
        """Return how each of the other workers says it is: `ok`, `lost`, …; none where there are none."""
        return dict(self._states)

    async def run(self) -> None:
        """Listen to the other workers until cancelled."""
        if self._stream is None:
            return
        async for delivery in self._stream:
            try:
                self._take(delivery)
            except (BadTopicError, BadMessageError) as error:
                log.warning("what a worker tells cannot be read", topic=delivery.topic, why=str(error))

    def _take(self, delivery: Delivery) -> None:
        name = delivery.topic.split("/", 1)[1]
        if delivery.topic.startswith("service/"):
            if name in self._states:
                self._states[name] = delivery.read(SERVICE)[1].state if delivery.payload else "not seen yet"
            return
        if self._share.owns(name):
            return
        if not delivery.payload:
            for known in (self._machines, self._latest, self._health):
                known.pop(name, None)
        elif delivery.topic.startswith("machine/"):
            self._machines[name] = delivery.read(MACHINE)[1]
        elif delivery.topic.startswith("latest/"):
            self._latest[name] = delivery.read(LATEST)[1]
        else:
            self._health[name] = delivery.read(HEALTH)[1]
