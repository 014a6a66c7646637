"""Tells every source that numbers its messages up to where they are in the database: `committed/<client>`.

Whoever writes to the database notes the numbers in the same transaction; here, in one place, they become
marks. A client gets one when its retained status, which nobody else may write, names the boot; or when it is
a machine of ours whose status names none. All others get none, and take no room.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from broker.bus import Bus
from broker.channels import COMMITTED, STATUS, SYSTEM_ALERT
from broker.messages import BadMessageError, Committed, Severity, Status, SystemAlert
from broker.stream import Delivery
from broker.telemetry import Number
from broker.topics import BadTopicError, CommittedTopic, StatusTopic, SystemAlertTopic
from gateway.holes import Gap, Holes
from gateway.marks import Stretch, advance, count
from gateway.store import Batch, NumberedBatch, SourceMark, Store, StoreError

LOOK_S: Final = 0.1
SETTLE_S: Final = 1.0
"""How long the broker may take to hand over the retained statuses after a start."""
AWAY_S: Final = 1.0
MOST_TOLD: Final = 50
"""Marks told at one look; the others come with the next ones."""
HELD: Final = timedelta(seconds=60)
MOST_HELD: Final = 1000
MOST_HELD_SEQS: Final = 20_000
MOST_CLIENTS: Final = 50_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Said:
    """What a client's status says of its numbering; `boot` empty where it says nothing of it."""

    boot: str = ""
    first: int = 1


@dataclass(slots=True)
class _Held:
    since: datetime
    seqs: set[int] = field(default_factory=set)


def accepts(client: str, boot: str, said: Mapping[str, Said], is_machine: Callable[[str], bool]) -> bool:
    """Whether a client may have a mark for a boot: its own status says so, or it is a machine without one."""
    told = said.get(client, Said()).boot
    return told == boot if told else is_machine(client)


def merge(
    before: Sequence[SourceMark],
    taken: Sequence[NumberedBatch],
    said: Mapping[str, Said],
    is_machine: Callable[[str], bool],
    now: datetime,
) -> tuple[list[SourceMark], list[NumberedBatch]]:
    """Return the marks with what was committed since, and the numbers of those that may have no mark (yet).

    A boot that continues one of `before` is accepted as that one was.
    """
    marks = {(mark.client, mark.boot): mark for mark in before}
    seqs: dict[tuple[str, str], list[int]] = {}
    refused: list[NumberedBatch] = []
    for batch in taken:
        who = batch.client, batch.boot
        named = said.get(batch.client, Said()).boot
        if accepts(*who, said, is_machine) or (not named and who in marks):
            seqs.setdefault(who, []).extend(batch.seqs)
        else:
            refused.append(batch)
    found = []
    for (client, boot), some in seqs.items():
        old = marks.get((client, boot)) or SourceMark(client, boot, 0, (), now)
        told = said.get(client, Said())
        found.append(advance(old, some, told.first if told.boot == boot else 1, now))
    return found, refused


class Watermarks:
    """Keeps the marks, counts what is missing, and tells both. One of these for a database."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        is_machine: Callable[[str], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._bus = bus
        self._store = store
        self._is_machine = is_machine
        self._now = now
        self._statuses = bus.subscribe(STATUS)
        self._said: dict[str, Said] = {}
        self._current: dict[str, SourceMark] = {}
        self._boots: set[tuple[str, str]] = set()
        self._untold: OrderedDict[str, None] = OrderedDict()
        self._held: dict[tuple[str, str], _Held] = {}
        self._holes = Holes()

    @property
    def missing(self) -> Mapping[str, int]:
        """How many messages of each client are missing, since the start."""
        return self._holes.missing

    async def run(self) -> None:
        """Keep the marks until cancelled, from the tables of this version on."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="statuses of sources")
            await self._bus.wait_connected()
            # What comes before its client's status is held, but most of it need not be.
            await asyncio.sleep(SETTLE_S)
            known = False
            while True:
                try:
                    if not known:
                        self._restore(await self._store.sources())
                        known = True
                    await self._look()
                except StoreError as error:
                    log.debug("marks wait for the database", why=str(error))
                    await asyncio.sleep(AWAY_S)
                self._tell()
                await self._tell_gaps()
                await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        """Take in what was committed since the last time. Raises StoreError."""
        now = self._now()
        refused: list[NumberedBatch] = []

        def merged(before: Sequence[SourceMark], taken: Sequence[NumberedBatch]) -> list[SourceMark]:
            marks, others = merge(before, taken, self._said, self._is_machine, now)
            refused.extend(others)
            return marks

        marks = await self._store.take_numbers(merged)
        for batch in refused:
            self._hold(batch, now)
        for mark in marks:
            self._take(mark, now)
        await self._let_go(now)

    def _restore(self, marks: Sequence[SourceMark]) -> None:
        """Take in the marks of the database, a client's latest last, to be told again."""
        now = self._now()
        for mark in marks:
            self._take(mark, now)

    def _take(self, mark: SourceMark, now: datetime) -> None:
        """Make a mark its client's current one, unless it is of a boot that is over."""
        new = (mark.client, mark.boot) not in self._boots
        self._boots.add((mark.client, mark.boot))
        old = self._current.get(mark.client)
        said = self._said.get(mark.client, Said())
        over = mark.boot != said.boot if said.boot else not (new or old is None or old.boot == mark.boot)
        if over:
            return
        self._current[mark.client] = mark
        self._holes.take(mark, said.first, now)
        if old is None or (old.boot, old.seq) != (mark.boot, mark.seq):
            self._untold[mark.client] = None

    def _hold(self, batch: NumberedBatch, now: datetime) -> None:
        """Remember for a minute what came before its client's status; what is too much comes again."""
        who = batch.client, batch.boot
        if who in self._held or len(self._held) < MOST_HELD:
            held = self._held.setdefault(who, _Held(now))
            if len(held.seqs) + len(batch.seqs) <= MOST_HELD_SEQS:
                held.seqs.update(batch.seqs)

    async def _let_go(self, now: datetime) -> None:
        """Note again what may have a mark by now, and forget what was held too long. Raises StoreError."""
        for (client, boot), held in list(self._held.items()):
            if accepts(client, boot, self._said, self._is_machine):
                numbers = [Number(client, boot, seq) for seq in held.seqs]
                await self._store.write(Batch(numbers=numbers))
            elif now - held.since < HELD:
                continue
            del self._held[client, boot]

    async def _listen(self) -> None:
        async for delivery in self._statuses:
            try:
                self._hear(delivery)
            except (BadTopicError, BadMessageError) as error:
                log.debug("a status that cannot be read", topic=delivery.topic, why=str(error))

    def _hear(self, delivery: Delivery) -> None:
        client = StatusTopic.parse(delivery.topic).client
        plain = delivery.payload.decode(errors="replace")
        if plain in {"", *STATUS.plain}:
            status = Status(state="online" if plain == "online" else "offline")
        else:
            status = delivery.read(STATUS)[1]
        if status.boot is None:
            # A last will names no boot, and what its client sent before still counts.
            if status.state == "online":
                self._said.pop(client, None)
            return
        if client not in self._said and len(self._said) >= MOST_CLIENTS:
            return
        said = Said(status.boot, status.first if status.first is not None else 1)
        if said.boot != self._said.get(client, Said()).boot:
            log.info("a source numbers its messages", client=client, boot=said.boot, first=said.first)
        self._said[client] = said

    def _tell(self) -> None:
        for _ in range(min(MOST_TOLD, len(self._untold))):
            client, _ = self._untold.popitem(last=False)
            mark = self._current[client]
            if mark.seq:
                told = Committed(boot=mark.boot, seq=mark.seq, ts=mark.ts)
                self._bus.keep(COMMITTED, CommittedTopic(client), told)

    async def _tell_gaps(self) -> None:
        for gap in self._holes.news(self._now()):
            if gap.missing:
                await self._alert(gap, "gap", "warning", gap.missing)
            if gap.filled:
                await self._alert(gap, "gap_filled", "info", gap.filled)

    async def _alert(self, gap: Gap, kind: str, severity: Severity, where: tuple[Stretch, ...]) -> None:
        number, first, last = count(where), where[0][0], max(high for _, high in where)
        became = "are missing" if kind == "gap" else "came after all"
        message = f"{number} messages of {gap.client} between {first} and {last} {became}"
        log.warning(message, client=gap.client, boot=gap.boot, missing=self.missing.get(gap.client, 0))
        details = {
            "client": gap.client,
            "boot": gap.boot,
            "from": str(first),
            "to": str(last),
            "count": str(number),
        }
        alert = SystemAlert(
            alert_type=kind, severity=severity, message=message, ts=self._now(), details=details
        )
        await self._bus.publish(SYSTEM_ALERT, SystemAlertTopic(), alert)
