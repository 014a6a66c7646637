"""From the bus into the database: read, store, and only then acknowledge.

While the database is away nothing is acknowledged, and no more is read than a bounded few: the broker holds
the rest.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import structlog

from broker.bus import backoff_s
from broker.intake import Incoming, IncomingBatch, Intake
from broker.messages import Announce, BadMessageError, decode
from broker.telemetry import Number, Parsed, number_of, read
from broker.topics import AnnounceTopic, BadTopicError
from gateway.numbered import NumbersStored
from gateway.redelivery import Committed, content_hash
from gateway.registry import Registry
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
    again_ignored: int = 0
    batches: int = 0


class _Taken(msgspec.Struct, frozen=True, gc=False):
    message: Incoming
    parsed: Parsed
    numbers: tuple[Number, ...]
    untimed: int | None
    """The hash by which it is known when it comes again; None where its own time makes it known."""


class Ingest:
    """One consumer of telemetry on its own persistent session."""

    def __init__(self, intake: Intake, store: Store, registry: Registry, rejects: Rejects) -> None:
        self._intake = intake
        self._store = store
        self._registry = registry
        self._rejects = rejects
        self._committed = Committed()
        self._stored = NumbersStored()
        self._ids_each = 1.0
        self._connection = 0
        self._busy = asyncio.Lock()
        self.counts = Counts()
        self.held = asyncio.Event()
        """Set while nothing is taken in because the database is away."""
        self.held.set()

    async def run(self) -> None:
        """Take batches until cancelled. What was taken and not committed comes again from the broker.

        A batch is read while the one before it is stored; they are stored and acknowledged in their order.
        """
        await self._remember()
        async with asyncio.TaskGroup() as tasks:
            under_way: asyncio.Task[None] | None = None
            while True:
                batch = await self._intake.batch(MOST, WAIT_S)
                taken = [one for one in map(self._read, batch.messages) if one is not None]
                if under_way is not None:
                    await under_way
                under_way = tasks.create_task(self._settle(batch, taken), name="batch")

    async def _settle(self, batch: IncomingBatch, taken: list[_Taken]) -> None:
        async with self._busy:
            await self._follow(batch.connection)
            fresh = [one for one in taken if self._is_fresh(one)]
            # Packet ids of what other workers take count as well: the broker gives them out in one ring.
            self._ids_each = len(batch.mids) / max(1, len(fresh))
            await self._commit(fresh)
            self._intake.ack(batch)
            untimed = [(one.message.mid, one.untimed) for one in fresh if one.untimed is not None]
            self._committed.note(untimed, len(batch.mids))
            self.counts.batches += 1

    async def finish(self, limit_s: float) -> None:
        """Wait until the batch at hand is committed and acknowledged, and let no other begin."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._busy.acquire(), limit_s)

    async def _remember(self) -> None:
        """Ask the database once by what the messages that were committed before we started are known."""
        while True:
            with suppress(StoreUnavailableError):
                self._committed.restore(await self._store.redeliveries(self._intake.username))
                self._stored.restore(*await self._store.numbers_stored())
                self.held.clear()
                return
            await asyncio.sleep(WAIT_S)

    async def _follow(self, connection: int) -> None:
        """Forget packet ids where another connection brought a new session."""
        if self._connection not in {0, connection} and not self._intake.session_present:
            self._committed.forget()
            with suppress(StoreUnavailableError):  # they are soon overwritten anyway
                await self._store.forget_redeliveries(self._intake.username)
        self._connection = connection

    def _is_fresh(self, one: _Taken) -> bool:
        """Whether a message is not stored yet, where it has no time of its own that would tell."""
        if one.untimed is None:
            return True
        machine = one.parsed.machine
        again = one.message.again and self._committed.has(one.message.mid, one.untimed)
        if again or any(self._stored.has(machine, number) for number in one.numbers):
            self.counts.again_ignored += 1
            return False
        self._stored.note(machine, one.numbers)
        return True

    def _read(self, message: Incoming) -> _Taken | None:
        self.counts.messages += 1
        if message.retained:  # a state somebody left behind, not a new reading
            self.counts.retained_ignored += 1
            return None
        topic, payload = message.topic, message.payload
        numbers: tuple[Number, ...] = ()
        if topic.startswith("announce/"):
            parsed = self._read_announce(message)
        else:
            parsed = read(topic, payload, message.arrived)
            if parsed.states:
                self._refuse_texts_of_numbers(parsed)
            numbers = self._numbers(message, parsed)
            # What a source numbers is missed where a number is missing, not where its rhythm is broken.
            self._registry.take(parsed, message.arrived, complete=not numbers)
        untimed = content_hash(topic, payload) if parsed.untimed else None
        return _Taken(message, parsed, numbers, untimed)

    def _numbers(self, message: Incoming, parsed: Parsed) -> tuple[Number, ...]:
        """Return the message's numbers, but none in the name of a machine that is not the topic's."""
        if message.user and (number := number_of(message.user, parsed.machine)) is not None:
            found = [number]
        elif parsed.numbers:
            found = parsed.numbers
        else:
            return ()
        own = parsed.machine
        return tuple(one for one in found if one.client == own or self._registry.machine(one.client) is None)

    def _read_announce(self, message: Incoming) -> Parsed:
        parsed = Parsed()
        try:
            where = AnnounceTopic.parse(message.topic)
            said = decode(Announce, message.payload)
        except (BadTopicError, BadMessageError) as error:
            parsed.refuse("bad_announce", str(error))
        else:
            parsed.machine = where.machine
            self._registry.announce(where.machine, said, message.arrived)
        return parsed

    def _refuse_texts_of_numbers(self, parsed: Parsed) -> None:
        for state in [one for one in parsed.states if self._registry.is_number(one.machine, one.field)]:
            parsed.states.remove(state)
            text = f"{state.field} was a number before, so {state.text[:40]!a} is not a reading"
            parsed.refuse("not_a_number", text, state.field)

    async def _commit(self, taken: list[_Taken]) -> None:
        """Store all of it. What the database refuses stands alone: it is told, or found by halving."""
        if not taken:
            return
        try:
            await self._store_for_ever(taken)
        except (BadBatchError, StoreTooSlowError) as error:
            bad = {id(row) for row in error.rows} if isinstance(error, BadBatchError) else set()
            if any(_has(one, bad) for one in taken):
                await self._commit([_without(one, bad, error) if _has(one, bad) else one for one in taken])
            elif len(taken) > 1:
                half = len(taken) // 2
                await self._commit(taken[:half])
                await self._commit(taken[half:])
            else:
                everything = {id(row) for row in taken[0].parsed.rows}
                await self._store_for_ever([_without(taken[0], everything, error)])

    async def _store_for_ever(self, taken: list[_Taken]) -> None:
        """Store a batch however long the database is away. Raises BadBatchError, StoreTooSlowError."""
        batch = self._batch_of(taken)
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

    def _batch_of(self, taken: list[_Taken]) -> Batch:
        return Batch(
            rows=[row for one in taken for row in one.parsed.rows],
            states=[state for one in taken for state in one.parsed.states],
            rejected=[row for one in taken if one.parsed.refusals for row in self._rejected(one)],
            numbers=[number for one in taken for number in one.numbers],
            redelivery=self._redelivery(taken),
        )

    def _redelivery(self, taken: list[_Taken]) -> Redelivery | None:
        untimed = {one.message.mid: one.untimed for one in taken if one.untimed is not None}
        if not untimed and not self._committed:
            return None  # nothing to remember, nothing to forget
        return Redelivery(
            session=self._intake.username,
            mids=list(untimed),
            hashes=list(untimed.values()),
            messages=round(len(taken) * self._ids_each),
        )

    def _count(self, written: Written, rejected: list[RejectedRow]) -> None:
        self.counts.readings += written.stored
        self.counts.doubles += written.doubled
        self.counts.rejected += sum(row.record.count for row in rejected)
        for row in rejected:
            self._rejects.note(row.source, row.record)

    def _rejected(self, one: _Taken) -> Iterator[RejectedRow]:
        message = one.message
        records = describe(one.parsed.refusals, message.topic, message.payload, message.arrived)
        return (RejectedRow(one.parsed.machine, record) for record in records)


def _has(one: _Taken, rows: set[int]) -> bool:
    return bool(rows) and any(id(row) in rows for row in one.parsed.rows)


def _without(one: _Taken, bad: set[int], why: Exception) -> _Taken:
    """Return the message without the rows to blame; where none is left, without its states as well."""
    kept = [row for row in one.parsed.rows if id(row) not in bad]
    states = one.parsed.states if kept else []
    parsed = replace(one.parsed, rows=kept, states=states, refusals=list(one.parsed.refusals))
    parsed.refuse("database", str(why))
    return _Taken(one.message, parsed, one.numbers, one.untimed)
