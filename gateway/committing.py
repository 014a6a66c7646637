"""Stores messages however long it takes: all of a batch, but for what can never be stored."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
import structlog

from broker.bus import backoff_s
from broker.intake import Incoming
from broker.telemetry import Number, Parsed
from gateway.rejects import Rejects, describe
from gateway.store import (
    BadBatchError,
    Batch,
    Redelivery,
    RejectedRow,
    Store,
    StoreTooSlowError,
    StoreUnavailableError,
    Written,
)

log = structlog.get_logger()


@dataclass(slots=True)
class Counts:
    """Since the gateway started."""

    messages: int = 0
    readings: int = 0
    doubles: int = 0
    rejected: int = 0
    retained_ignored: int = 0
    again_ignored: int = 0
    batches: int = 0


class Taken(msgspec.Struct, frozen=True, gc=False):
    """A message that was read. `untimed` is the hash it is known by, None where its time makes it known."""

    message: Incoming
    parsed: Parsed
    numbers: tuple[Number, ...]
    untimed: int | None


class Committer:
    """Writes batches of one session's messages. Several may be under way at once."""

    def __init__(self, store: Store, rejects: Rejects, session: str, counts: Counts) -> None:
        self._store = store
        self._rejects = rejects
        self._session = session
        self._counts = counts
        self.held = asyncio.Event()
        """Set while nothing is stored because the database is away, and before the start."""
        self.held.set()

    async def commit(self, taken: list[Taken], packet_ids: int | None) -> None:
        """Store all of it. What the database refuses stands alone: it is told, or found by halving.

        `packet_ids` is how many the batch used up, None where packet ids need not be remembered.
        """
        if not taken:
            return
        try:
            await self._store_for_ever(taken, packet_ids)
        except (BadBatchError, StoreTooSlowError) as error:
            bad = {id(row) for row in error.rows} if isinstance(error, BadBatchError) else set()
            if any(_has(one, bad) for one in taken):
                rest = [_without(one, bad, error) if _has(one, bad) else one for one in taken]
                await self.commit(rest, packet_ids)
            elif len(taken) > 1:
                half = len(taken) // 2
                for part in (taken[:half], taken[half:]):
                    await self.commit(part, packet_ids and -(-packet_ids * len(part) // len(taken)))
            else:
                everything = {id(row) for row in taken[0].parsed.rows}
                await self._store_for_ever([_without(taken[0], everything, error)], packet_ids)

    async def _store_for_ever(self, taken: list[Taken], packet_ids: int | None) -> None:
        """Store a batch however long the database is away. Raises BadBatchError, StoreTooSlowError."""
        batch = self._batch_of(taken, packet_ids)
        attempt = 0
        while True:
            try:
                written = await self._store.write(batch)
                break
            except StoreTooSlowError:
                if len(taken) > 1:
                    raise
                self._hold("a single message takes too long to store")
            except StoreUnavailableError as error:
                self._hold(str(error))
            await asyncio.sleep(backoff_s(min(attempt, 4), 1.0))
            attempt += 1
        if self.held.is_set():
            log.info("the database is back", attempts=attempt)
            self.held.clear()
        self._count(written, batch.rejected)

    def _hold(self, why: str) -> None:
        if not self.held.is_set():
            log.warning("the database is away; the broker holds what comes", why=why)
            self.held.set()

    def _batch_of(self, taken: list[Taken], packet_ids: int | None) -> Batch:
        untimed = {one.message.mid: one.untimed for one in taken if one.untimed is not None}
        return Batch(
            rows=[row for one in taken for row in one.parsed.rows],
            states=[state for one in taken for state in one.parsed.states],
            rejected=[row for one in taken if one.parsed.refusals for row in _rejected(one)],
            numbers=[number for one in taken for number in one.numbers],
            redelivery=None
            if packet_ids is None
            else Redelivery(self._session, list(untimed), list(untimed.values()), packet_ids),
        )

    def _count(self, written: Written, rejected: list[RejectedRow]) -> None:
        self._counts.readings += written.stored
        self._counts.doubles += written.doubled
        self._counts.rejected += sum(row.record.count for row in rejected)
        for row in rejected:
            self._rejects.note(row.source, row.record)


def _rejected(one: Taken) -> Iterator[RejectedRow]:
    message = one.message
    records = describe(one.parsed.refusals, message.topic, message.payload, message.arrived)
    return (RejectedRow(one.parsed.machine, record) for record in records)


def _has(one: Taken, rows: set[int]) -> bool:
    return bool(rows) and any(id(row) in rows for row in one.parsed.rows)


def _without(one: Taken, bad: set[int], why: Exception) -> Taken:
    """Return the message without the rows to blame; where none is left, without its states as well."""
    kept = [row for row in one.parsed.rows if id(row) not in bad]
    states = one.parsed.states if kept else []
    parsed = replace(one.parsed, rows=kept, states=states, refusals=list(one.parsed.refusals))
    parsed.refuse("database", str(why))
    return Taken(one.message, parsed, one.numbers, one.untimed)
