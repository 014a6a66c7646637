"""From the bus into the database: read, store, and only then acknowledge.

While the database is away nothing is acknowledged and nothing more is read: the broker holds the rest.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from broker.bus import Bus, backoff_s
from broker.channels import ANNOUNCE, METRIC, TELEMETRY
from broker.messages import BadMessageError
from broker.stream import Delivery
from broker.telemetry import Parsed, read
from broker.topics import BadTopicError
from gateway.registry import Registry
from gateway.rejects import Rejects, describe
from gateway.store import BadBatchError, Batch, RejectedRow, Store, StoreUnavailableError

MOST: Final = 2000
WAIT_S: Final = 0.05
log = structlog.get_logger()


@dataclass(slots=True)
class Counts:
    """Since the gateway started."""

    messages: int = 0
    readings: int = 0
    doubles: int = 0
    rejected: int = 0
    retained_ignored: int = 0
    batches: int = 0


@dataclass(frozen=True, slots=True)
class _Taken:
    delivery: Delivery
    parsed: Parsed


class Ingest:
    """One consumer of telemetry on its own persistent session."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        registry: Registry,
        rejects: Rejects,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._stream = bus.subscribe(TELEMETRY, METRIC, ANNOUNCE, capacity=2 * MOST)
        self._store = store
        self._registry = registry
        self._rejects = rejects
        self._now = now
        self.counts = Counts()
        self._away = False
        self._busy = asyncio.Lock()

    async def run(self) -> None:
        """Take batches until cancelled. What was taken and not committed comes again from the broker."""
        while True:
            batch = await self._stream.batch(MOST, WAIT_S)
            async with self._busy:
                taken = [one for one in map(self._read, batch) if one is not None]
                await self._commit(taken)
                for delivery in batch:
                    delivery.ack()
                self.counts.batches += 1

    async def finish(self, limit_s: float) -> None:
        """Wait until the batch at hand is committed and acknowledged, and let no other begin."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._busy.acquire(), limit_s)

    def _read(self, delivery: Delivery) -> _Taken | None:
        self.counts.messages += 1
        if delivery.retained:  # a state somebody left behind, not a new reading
            self.counts.retained_ignored += 1
            return None
        if delivery.topic.startswith("announce/"):
            return self._read_announce(delivery)
        parsed = read(delivery.topic, delivery.payload, delivery.arrived)
        self._refuse_texts_of_numbers(parsed)
        self._registry.take(parsed, delivery.arrived)
        return _Taken(delivery, parsed)

    def _read_announce(self, delivery: Delivery) -> _Taken:
        parsed = Parsed()
        try:
            where, said = delivery.read(ANNOUNCE)
        except (BadTopicError, BadMessageError) as error:
            parsed.refuse("bad_announce", str(error))
        else:
            parsed.machine = where.machine
            self._registry.announce(where.machine, said, delivery.arrived)
        return _Taken(delivery, parsed)

    def _refuse_texts_of_numbers(self, parsed: Parsed) -> None:
        for state in [one for one in parsed.states if self._registry.is_number(one.machine, one.field)]:
            parsed.states.remove(state)
            text = f"{state.field} was a number before, so {state.text[:40]!a} is not a reading"
            parsed.refuse("not_a_number", text, state.field)

    async def _commit(self, taken: list[_Taken]) -> None:
        """Store all of it. A batch the database refuses is halved until the bad message stands alone."""
        if not taken:
            return
        try:
            await self._store_for_ever(taken)
        except BadBatchError as error:
            if len(taken) > 1:
                half = len(taken) // 2
                await self._commit(taken[:half])
                await self._commit(taken[half:])
                return
            refused = Parsed(machine=taken[0].parsed.machine)
            refused.refuse("database", str(error))
            await self._store_for_ever([_Taken(taken[0].delivery, refused)])

    async def _store_for_ever(self, taken: list[_Taken]) -> None:
        rejected = [row for one in taken for row in self._rejected(one)]
        batch = Batch(
            rows=[row for one in taken for row in one.parsed.rows],
            states=[state for one in taken for state in one.parsed.states],
            rejected=rejected,
        )
        attempt = 0
        while True:
            try:
                written = await self._store.write(batch)
                break
            except StoreUnavailableError as error:
                if not self._away:
                    log.warning("the database is away; the broker holds what comes", why=str(error))
                self._away = True
                await asyncio.sleep(backoff_s(min(attempt, 4), 1.0))
                attempt += 1
        if self._away:
            log.info("the database is back", attempts=attempt)
            self._away = False
        self.counts.readings += written.stored
        self.counts.doubles += written.doubled
        self.counts.rejected += sum(row.record.count for row in rejected)
        for row in rejected:
            self._rejects.note(row.source, row.record)

    def _rejected(self, one: _Taken) -> list[RejectedRow]:
        delivery = one.delivery
        records = describe(one.parsed.refusals, delivery.topic, delivery.payload, delivery.arrived)
        return [RejectedRow(one.parsed.machine, record) for record in records]
