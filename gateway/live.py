"""Keeps the present moving while the database is away.

Ingest then holds still, and what it holds is what the broker keeps for it. The present is not kept for
anybody: it is read on a session of its own, at QoS 0, only for as long as ingest holds.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from broker.intake import Intake
from broker.telemetry import read
from gateway.ingest import Ingest
from gateway.registry import Registry

MOST: Final = 1000
WAIT_S: Final = 0.1
LOOK_S: Final = 0.5
PATIENCE_S: Final = 1.5
log = structlog.get_logger()


class LiveView:
    """Feeds the registry while ingest is held."""

    def __init__(self, connect: Callable[[], Intake], ingest: Ingest, registry: Registry) -> None:
        self._connect = connect
        self._ingest = ingest
        self._registry = registry

    async def run(self) -> None:
        """Wait until ingest is held, and stand in for it until it is not; until cancelled."""
        while True:
            await self._ingest.held.wait()
            await asyncio.sleep(PATIENCE_S)  # a short pause is not worth a connection
            if self._ingest.held.is_set():
                async with self._connect() as intake:
                    log.info("the present is shown while the database is away")
                    while self._ingest.held.is_set():
                        await self._round(intake)

    async def _round(self, intake: Intake) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                batch = await intake.batch(MOST, WAIT_S)
                for message in batch.messages:
                    if not message.retained:
                        parsed = read(message.topic, message.payload, message.arrived)
                        parsed.refusals.clear()  # counted once: by ingest, when it gets there
                        self._registry.take(parsed, message.arrived, complete=False)
