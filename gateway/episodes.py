"""Anomaly events from the bus into the database: kept first, acknowledged after."""

import asyncio

import structlog

from broker.bus import Bus, backoff_s
from broker.channels import ANOMALY
from broker.messages import Anomaly, BadMessageError
from broker.topics import BadTopicError
from gateway.store import BadValueError, Store, StoreUnavailableError

log = structlog.get_logger()


class Episodes:
    """Keeps every event of every episode; the same event twice changes nothing."""

    def __init__(self, bus: Bus, store: Store) -> None:
        self._stream = bus.subscribe(ANOMALY)
        self._store = store

    async def run(self) -> None:
        """Take events until cancelled."""
        async for delivery in self._stream:
            try:
                _, event = delivery.read(ANOMALY)
            except (BadTopicError, BadMessageError) as error:
                log.warning("an anomaly that is none", topic=delivery.topic, why=str(error))
                continue
            await self._keep(event)

    async def _keep(self, event: Anomaly) -> None:
        attempt = 0
        while True:
            try:
                await self._store.add_anomaly(event)
            except StoreUnavailableError:
                await asyncio.sleep(backoff_s(min(attempt, 4), 1.0))
                attempt += 1
            except BadValueError as error:
                log.warning("an anomaly the database refuses", anomaly_id=event.anomaly_id, why=str(error))
                return
            else:
                return
