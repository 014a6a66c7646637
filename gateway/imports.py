"""History handed in over HTTP: read without trust as telemetry is, stored the same way, however old.

What a device sends passes through the bus and is taken as live; what comes through here says nothing of how a
machine is now. The same readings twice change nothing, so an import that broke off is simply sent again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from broker.careful import FUTURE, LARGEST, MAX_FIELDS, RefusedError, check_metric, parse_time
from broker.messages import Rejected
from broker.telemetry import Refusal, Row
from broker.topics import BadTopicError, check_level
from gateway.rejects import Rejects, describe
from gateway.roster import Roster
from gateway.store import BadBatchError, Batch, RejectedRow, Store
from gateway.store.packing import EPOCH

TOPIC: Final = "import"
BATCH_READINGS: Final = 25_000
MOST_RUNNING: Final = 3
MOST_WAITING: Final = 9
_LONGEST_UNIT: Final = 32
_NUMBERS: Final = frozenset((float, int, bool))


class BadImportError(ValueError):
    """The body is not an import; the message says what one looks like."""


class BusyError(Exception):
    """So many imports wait already that another has to come later."""


class MachineColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Readings of one machine in columns of one length: `ts`, and by metric a number or null for each time.

    `arrived` is when the readings first came to a gateway; now, if not given. `units` are by metric.
    """

    machine: str
    ts: list[Any]
    metrics: dict[str, list[Any]]
    arrived: list[Any] | None = None
    units: dict[str, str] = {}


class ImportRefusal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was refused and why: a whole time of a machine, or of many times one metric, its `field`."""

    machine: str
    reason: str
    text: str
    count: int
    field: str | None = None


class ImportAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the readings: `stored`, `doubled` (there already), `refused` with reasons."""

    stored: int
    doubled: int
    refused: int
    refusals: list[ImportRefusal]


@dataclass(slots=True)
class Imported:
    """What a body holds of one machine. `machine` is empty where it may not be called so."""

    machine: str = ""
    rows: list[Row] = field(default_factory=list)
    units: Mapping[str, str] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)


_decoder: Final = msgspec.json.Decoder(MachineColumns | list[MachineColumns])


def read_import(body: bytes, now: datetime) -> list[Imported]:
    """Read a body. What cannot be taken is in `refusals`; raises BadImportError where the shape is wrong."""
    try:
        found = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        shape = '{"machine": …, "ts": […], "metrics": {"power_kw": […]}}'
        raise BadImportError(f"{error}; an import is {shape} or a list of those") from error
    return [_read_machine(one, now) for one in (found if isinstance(found, list) else [found])]


def _read_machine(columns: MachineColumns, now: datetime) -> Imported:
    count = len(columns.ts)
    lengths = {name: len(cells) for name, cells in columns.metrics.items()}
    if columns.arrived is not None:
        lengths["arrived"] = len(columns.arrived)
    wrong = next((name for name, length in lengths.items() if length != count), None)
    if wrong is not None:
        raise BadImportError(f"{wrong[:64]!a} has {lengths[wrong]} values where there are {count} times")
    into = Imported()
    try:
        into.machine = check_level("machine", columns.machine)
    except BadTopicError as error:
        into.refusals += [Refusal("bad_topic", str(error))] * count
        return into
    into.units = {name: unit for name, unit in columns.units.items() if _is_unit(unit)}
    metrics = _metrics(into, columns.metrics)
    whens = _times(into, columns, now)
    _add_rows(into, whens, metrics)
    return into


def _is_unit(unit: str) -> bool:
    return 0 < len(unit) <= _LONGEST_UNIT and unit.isprintable()


def _metrics(into: Imported, given: Mapping[str, list[Any]]) -> dict[str, list[float | None]]:
    taken: dict[str, list[float | None]] = {}
    for name, cells in given.items():
        if len(taken) >= MAX_FIELDS:
            text = f"only the first {MAX_FIELDS} metrics of a machine are taken"
            into.refusals += [Refusal("too_many", text, name[:64])] * len(cells)
            continue
        try:
            check_metric(name)
        except BadTopicError as error:
            into.refusals += [Refusal("bad_name", str(error), ascii(name[:48])[1:-1][:64])] * len(cells)
            continue
        taken[name] = _numbers(into, name, cells)
    return taken


def _numbers(into: Imported, name: str, cells: list[Any]) -> list[float | None]:
    """Return a column's numbers, None where there is none or it was refused."""
    if set(map(type, cells)) == {float} and min(cells) >= -LARGEST and max(cells) <= LARGEST:
        return cells
    numbers: list[float | None] = []
    for cell in cells:
        number = None
        if type(cell) in _NUMBERS and -LARGEST <= cell <= LARGEST:
            number = float(cell)
        elif type(cell) in _NUMBERS:
            into.refusals.append(Refusal("out_of_range", f"only numbers up to {LARGEST:g} are taken", name))
        elif cell is not None:
            text = f"{str(cell)[:40]!a} is not a number; where there is no reading write null"
            into.refusals.append(Refusal("not_a_number", text, name))
        numbers.append(number)
    return numbers


def _times(into: Imported, columns: MachineColumns, now: datetime) -> list[tuple[datetime, datetime] | None]:
    """Return time and arrival of each row, None where it was refused."""
    whens: list[tuple[datetime, datetime] | None] = []
    latest = now + FUTURE
    for number, value in enumerate(columns.ts):
        try:
            arrived = now if columns.arrived is None else _arrival(columns.arrived[number], now)
            whens.append((_within(parse_time(value), min(latest, arrived + FUTURE)), arrived))
        except RefusedError as refused:
            into.refusals.append(Refusal(refused.reason, str(refused)))
            whens.append(None)
    return whens


def _arrival(value: Any, now: datetime) -> datetime:
    return now if value is None else _within(parse_time(value), now)


def _within(time: datetime, latest: datetime) -> datetime:
    if not EPOCH <= time <= latest:
        msg = (
            f"{time.isoformat()} is outside what is kept: from {EPOCH.year} on, readings at most "
            f"{FUTURE.days} day after it arrived, and nothing arrives after now"
        )
        raise RefusedError("clock", msg)
    return time


def _add_rows(
    into: Imported,
    whens: Sequence[tuple[datetime, datetime] | None],
    metrics: Mapping[str, list[float | None]],
) -> None:
    names = tuple(metrics)
    for when, cells in zip(whens, zip(*metrics.values(), strict=True), strict=metrics != {}):
        if when is None:
            continue
        if None not in cells:
            into.rows.append(Row(into.machine, *when, names, cells))
            continue
        there = [(name, cell) for name, cell in zip(names, cells, strict=True) if cell is not None]
        if there:
            some, numbers = zip(*there, strict=True)
            into.rows.append(Row(into.machine, *when, some, numbers))


class Importer:
    """Takes imports, some at a time; whoever is one too many is told to come again."""

    def __init__(self, store: Store, roster: Roster, rejects: Rejects) -> None:
        self._store = store
        self._roster = roster
        self._rejects = rejects
        self._turn = asyncio.Semaphore(MOST_RUNNING)
        self._inside = 0

    async def take(self, body: bytes, now: datetime) -> ImportAnswer:
        """Store what a body holds.

        Raises BadImportError, BusyError, StoreUnavailableError: then some of it may be stored, and sending it
        again is safe.
        """
        if self._inside >= MOST_RUNNING + MOST_WAITING:
            raise BusyError(
                f"{self._inside} imports are being stored or wait to be; send this one again soon"
            )
        self._inside += 1
        try:
            async with self._turn:
                return await self._take(body, now)
        finally:
            self._inside -= 1

    async def _take(self, body: bytes, now: datetime) -> ImportAnswer:
        found = await asyncio.to_thread(read_import, body, now)
        stored = doubled = 0
        for one in found:
            for rows in _slices(one.rows):
                counts = await self._write(one, rows)
                stored, doubled = stored + counts[0], doubled + counts[1]
            self._roster.learn(one.machine, one.rows, one.units, now)
        told = [
            RejectedRow(one.machine, record)
            for one in found
            for record in describe(one.refusals, TOPIC, body, now)
        ]
        await self._store.write(Batch(rejected=told))
        for row in told:
            self._rejects.note(row.source, row.record)
        refused = sum(row.record.count for row in told)
        refusals = [_refusal(row.source, row.record) for row in told]
        return ImportAnswer(stored=stored, doubled=doubled, refused=refused, refusals=refusals)

    async def _write(self, one: Imported, rows: list[Row]) -> tuple[int, int]:
        """Store rows; what can never be stored is noted and left out. Returns stored and doubled."""
        try:
            written = await self._store.write(Batch(rows=rows))
        except BadBatchError as error:
            if len(rows) == 1 or len(error.rows) == len(rows):
                one.refusals += [Refusal("database", str(error)) for _ in rows]
                rejected = set(map(id, rows))
                one.rows[:] = [row for row in one.rows if id(row) not in rejected]
                return 0, 0
            blamed = set(map(id, error.rows)) or set(map(id, rows[: len(rows) // 2]))
            good = await self._write(one, [row for row in rows if id(row) not in blamed])
            bad = await self._write(one, [row for row in rows if id(row) in blamed])
            return good[0] + bad[0], good[1] + bad[1]
        return written.stored, written.doubled


def _slices(rows: list[Row]) -> list[list[Row]]:
    """Cut rows into parts of some thousand readings, so that no transaction is long."""
    most = max(1, BATCH_READINGS // max((len(row.metrics) for row in rows), default=1))
    return [rows[at : at + most] for at in range(0, len(rows), most)]


def _refusal(machine: str, record: Rejected) -> ImportRefusal:
    return ImportRefusal(
        machine=machine, reason=record.reason, text=record.text, count=record.count, field=record.field
    )
