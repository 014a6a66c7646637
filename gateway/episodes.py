"""Anomaly events from the bus into the database: kept first, acknowledged after."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from broker.bus import Bus, backoff_s
from broker.channels import ANOMALY
from broker.messages import Anomaly, BadMessageError
from broker.telemetry import number_of
from broker.topics import BadTopicError
from gateway.store import BadValueError, Batch, Store, StoreUnavailableError

log = structlog.get_logger()


class Episodes:
    """Keeps every event of every episode; the same event twice changes nothing.

    The source's own number of an event is noted after the event is in the database, also of one that never
    can be: it was told of in the log, and the source must not send it for ever.
    """

    def __init__(self, bus: Bus, store: Store) -> None:
        self._stream = bus.subscribe(ANOMALY)
        self._store = store

    async def run(self) -> None:
        """Take events until cancelled."""
        async for delivery in self._stream:
            machine = ""
            try:
                where, event = delivery.read(ANOMALY)
            except (BadTopicError, BadMessageError) as error:
                log.warning("an anomaly that is none", topic=delivery.topic, why=str(error))
            else:
                machine = where.machine
                await self._keep(event)
            number = number_of(delivery.user, machine)
            if number is not None:
                await _until_there(partial(self._store.write, Batch(numbers=[number])))

    async def _keep(self, event: Anomaly) -> None:
        try:
            await _until_there(lambda: self._store.add_anomaly(event))
        except BadValueError as error:
            log.warning("an anomaly the database refuses", anomaly_id=event.anomaly_id, why=str(error))


async def _until_there(write: Callable[[], Awaitable[object]]) -> None:
    """Write, again and again while the database is away."""
    attempt = 0
    while True:
        try:
            await write()
        except StoreUnavailableError:
            await asyncio.sleep(backoff_s(min(attempt, 4), 1.0))
            attempt += 1
        else:
            return
