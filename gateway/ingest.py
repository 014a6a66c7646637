"""From the bus into the database: read, store, and only then acknowledge.

While the database is away nothing is acknowledged, and no more is read than a bounded few: the broker holds
the rest.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from broker.intake import Incoming, IncomingBatch, Intake
from broker.messages import Announce, BadMessageError, decode
from broker.telemetry import Number, Parsed, number_of, read
from broker.topics import AnnounceTopic, BadTopicError
from gateway.committing import Committer, Counts, Taken
from gateway.numbered import NumbersStored
from gateway.redelivery import Committed, content_hash
from gateway.registry import Registry
from gateway.rejects import Rejects
from gateway.store import Store, StoreUnavailableError

MOST: Final = 2000
WAIT_S: Final = 0.05
AT_ONCE: Final = 3
"""Batches that are stored at once, so that the time a disk takes to write is not lost."""


class Ingest:
    """One consumer of telemetry on its own persistent session."""

    def __init__(self, intake: Intake, store: Store, registry: Registry, rejects: Rejects) -> None:
        self.counts = Counts()
        self._intake = intake
        self._store = store
        self._registry = registry
        self._committer = Committer(store, rejects, intake.username, self.counts)
        self._committed = Committed()
        self._stored = NumbersStored()
        self._connection = 0
        self._open = asyncio.Lock()
        self._under_way: deque[asyncio.Task[None]] = deque()

    @property
    def held(self) -> asyncio.Event:
        """Set while nothing is stored because the database is away, and before the start."""
        return self._committer.held

    async def run(self) -> None:
        """Take batches until cancelled. What was taken and not committed comes again from the broker.

        Batches are read in their order and acknowledged in their order; several are stored at once.
        """
        await self._remember()
        async with asyncio.TaskGroup() as tasks:
            while True:
                batch = await self._intake.batch(MOST, WAIT_S)
                taken = [one for one in map(self._read, batch.messages) if one is not None]
                while len(self._under_way) >= AT_ONCE:
                    await self._under_way.popleft()
                async with self._open:
                    await self._follow(batch.connection)
                    fresh = [one for one in map(self._fresh, taken) if one is not None]
                    before = self._under_way[-1] if self._under_way else None
                    settling = self._settle(batch, fresh, self._remember_packet_ids(batch, fresh), before)
                    self._under_way.append(tasks.create_task(settling, name="batch"))

    async def _settle(
        self,
        batch: IncomingBatch,
        fresh: list[Taken],
        packet_ids: int | None,
        before: asyncio.Task[None] | None,
    ) -> None:
        await self._committer.commit(fresh, packet_ids)
        if before is not None:
            await before
        self._intake.ack(batch)
        self.counts.batches += 1

    async def finish(self, limit_s: float) -> None:
        """Wait until what is under way is committed and acknowledged, and let nothing else begin."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._open.acquire()
                if self._under_way:
                    await asyncio.wait(self._under_way)

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

    def _fresh(self, one: Taken) -> Taken | None:
        """Return what of a message is to be stored, where it has no time of its own that would tell.

        Of one that is stored already only its number is, again: its source sends it because it has heard of
        no mark yet.
        """
        if one.untimed is None:
            return one
        machine = one.parsed.machine
        again = one.message.again and self._committed.has(one.message.mid, one.untimed)
        if again or any(self._stored.has(machine, number) for number in one.numbers):
            self.counts.again_ignored += 1
            return Taken(one.message, Parsed(machine=machine), one.numbers, None) if one.numbers else None
        self._stored.note(machine, one.numbers)
        return one

    def _remember_packet_ids(self, batch: IncomingBatch, fresh: list[Taken]) -> int | None:
        """Note the untimed as committed; return how many packet ids the database is to count, None if none.

        They are noted before they are: what is under way is stored in the end, or this process is not there
        any more. Those of other workers' messages count as well: the broker gives them out in one ring.
        """
        untimed = [(one.message.mid, one.untimed) for one in fresh if one.untimed is not None]
        if not untimed and not self._committed:
            return None
        self._committed.note(untimed, len(batch.mids))
        return len(batch.mids)

    def _read(self, message: Incoming) -> Taken | None:
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
        return Taken(message, parsed, numbers, untimed)

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
