"""What the benchmarks ask of the database beyond the product: to be filled fast, and to be checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from gateway.store.database import Database, fetch
from gateway.store.queries import query

LIMIT_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class HeldSeries:
    """What is held of one metric of one machine."""

    machine: str
    metric: str
    readings: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Bytes:
    """What readings with their index, and the whole database, take on the disk."""

    samples: int
    all: int


@dataclass(frozen=True, slots=True)
class _Numbered:
    machine: str
    id: int


@dataclass(frozen=True, slots=True)
class _Newer:
    machine_id: int
    ts: datetime


class Bulk(Database):
    """Statements that take long, on a pool of their own."""

    def __init__(self, url: str) -> None:
        super().__init__(url, statement_limit_s=LIMIT_S)

    async def count(self) -> int:
        """Return how many rows of readings there are."""
        return int(await self._value("bench_count"))

    async def there(self, machine: str, ts: datetime) -> bool:
        """Whether a machine has a row of that time."""
        return bool(await self._value("bench_there", machine=machine, ts=ts))

    async def machine_ids(self, machines: Sequence[str]) -> dict[str, int]:
        """Return the numbers of those machines that are known."""
        found = await self._all(_Numbered, "bench_machine_ids", machines=list(machines))
        return {one.machine: one.id for one in found}

    async def newer(self, since: dict[int, datetime]) -> list[tuple[int, datetime]]:
        """Return (machine number, time) of the rows after a time of each machine, oldest first of each."""
        found = await self._all(_Newer, "bench_newer", machine_ids=list(since), since=list(since.values()))
        return [(one.machine_id, one.ts) for one in found]

    async def held(self, base_ms: int, spacing_ms: int, modulus: int) -> list[HeldSeries]:
        """Return readings and checksum of every series; ticks are counted from `base_ms`."""
        values = {"base_ms": base_ms, "spacing_ms": spacing_ms, "modulus": modulus}
        return await self._all(HeldSeries, "bench_held", **values)

    async def fill(
        self, machine: str, start: datetime, end: datetime, spike_at: datetime, spike: float
    ) -> int:
        """Give a machine of one metric a reading a second in [start, end), where it has none yet.

        Returns how many. Raises BadValueError where there is one.
        """
        values = {"machine": machine, "start": start, "end": end, "spike_at": spike_at, "spike": spike}
        async with self.transaction() as cursor:
            await cursor.execute(query("bench_without_disk"))
            await cursor.execute(query("bench_fill"), values)
            return cursor.rowcount

    async def make_week(self, monday: date) -> None:
        """Make room for a week of readings."""
        await self._run("bench_week", week=monday)

    async def analyze(self) -> None:
        """Tell the planner what there is, as the database does by itself a minute later."""
        await self._run("bench_analyze")

    async def bytes(self) -> Bytes:
        """Return what is used on the disk."""
        async with self.transaction() as cursor:
            return (await fetch(cursor, Bytes, "bench_bytes"))[0]

    async def make_flow_table(self) -> None:
        """Make the table that the rival flow fills."""
        await self._run("bench_flow_table")

    async def flow_count(self) -> int:
        """Return how many rows the rival flow has stored."""
        return int(await self._value("bench_flow_count"))

    async def flow_there(self, machine_id: int, ts: datetime) -> bool:
        """Whether the rival flow has stored a row."""
        return bool(await self._value("bench_flow_there", machine_id=machine_id, ts=ts))

    async def flow_total(self) -> int:
        """Return the sum of all the rival flow has stored, in hundredths."""
        return int(await self._value("bench_flow_total"))

    async def _value(self, name: str, /, **values: Any) -> Any:
        async with self.transaction() as cursor:
            await cursor.execute(query(name), values)
            row = await cursor.fetchone()
            return row[0] if row else None
