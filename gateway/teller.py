"""Tells the bus what changed: machines, last values, health, refusals; and keeps machines in the database."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from broker.bus import Bus
from broker.channels import HEALTH, LATEST, MACHINE, REJECTED, STATUS
from broker.messages import BadMessageError, Machine
from broker.outlet import Outlet
from broker.topics import BadTopicError, HealthTopic, LatestTopic, MachineTopic, RejectedTopic
from gateway.registry import Registry
from gateway.rejects import Rejects
from gateway.store import BadValueError, Store, StoreUnavailableError

LOOK_S: Final = 0.1
REFUSALS_S: Final = 1.0
SAVED_AT_ONCE: Final = 500


class Teller:
    """The one writer of `machine/…`, `latest/…`, `health/…` and `rejected/…`."""

    def __init__(self, bus: Bus, outlet: Outlet, registry: Registry, rejects: Rejects, store: Store) -> None:
        self._bus = bus
        self._outlet = outlet
        self._statuses = bus.subscribe(STATUS)
        self._registry = registry
        self._rejects = rejects
        self._store = store
        self._unsaved: dict[str, Machine] = {}
        self._untold: dict[str, None] | None = {}  # machines seen before the database told what it knows

    def begin(self) -> None:
        """Tell of machines from now on, and write them down: what the database knew of them is restored."""
        seen, self._untold = self._untold, None
        for name in seen or ():
            machine = self._registry.machine(name)
            if machine is not None:
                self._tell_machine(machine)

    async def run(self) -> None:
        """Look for news ten times a second until cancelled, and listen to what devices say of themselves."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="statuses")
            tasks.create_task(self._save_for_ever(), name="machines to the database")
            while True:
                self.tell(datetime.now(UTC))
                await asyncio.sleep(LOOK_S)

    def tell(self, now: datetime) -> None:
        """Publish what changed."""
        news = self._registry.news(now)
        for machine in news.machines:
            if self._untold is None:
                self._tell_machine(machine)
            else:
                # Only its name is known as yet: telling that would undo what it once announced.
                self._untold[machine.machine] = None
        for latest in news.latest:
            self._outlet.keep(LATEST, LatestTopic(latest.machine), latest)
        for health in news.health:
            self._outlet.keep(HEALTH, HealthTopic(health.machine), health)

    def _tell_machine(self, machine: Machine) -> None:
        self._outlet.keep(MACHINE, MachineTopic(machine.machine), machine)
        self._unsaved[machine.machine] = machine

    async def run_refusals(self) -> None:
        """Publish refusals once a second until cancelled."""
        while True:
            for told in self._rejects.news():
                await self._bus.publish(REJECTED, RejectedTopic(told.source), told.message)
            await asyncio.sleep(REFUSALS_S)

    async def _save_for_ever(self) -> None:
        while True:
            await self._save_machines()
            await asyncio.sleep(LOOK_S)

    async def _save_machines(self) -> None:
        """Write down what was told, many at once; one by one where the database refuses some of it."""
        with suppress(StoreUnavailableError):
            while self._unsaved:
                some = list(islice(self._unsaved.values(), SAVED_AT_ONCE))
                try:
                    await self._store.save_machines(some)
                except BadValueError:
                    for machine in some:
                        with suppress(BadValueError):
                            await self._store.save_machine(machine)
                for machine in some:
                    if self._unsaved.get(machine.machine) is machine:
                        del self._unsaved[machine.machine]

    async def _listen(self) -> None:
        async for delivery in self._statuses:
            online = delivery.payload == b"online"
            if not online and delivery.payload != b"offline":
                try:
                    _, status = delivery.read(STATUS)
                except (BadTopicError, BadMessageError):
                    continue
                online = status.state == "online"
            with suppress(BadTopicError):
                self._registry.client_said(STATUS.topic.parse(delivery.topic).client, online=online)
