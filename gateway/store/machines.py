"""The machines, and what the database holds of their present."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from broker.messages import LatestValue, Machine, MetricInfo, Place
from broker.telemetry import State
from gateway.store.database import Database, fetch
from gateway.store.rows import Remembered

MACHINES_AT_ONCE: Final = 500
LOOK_BACK: Final = range(100, 10_001)
"""How many of a machine's last rows are looked through for a metric the last one does not have: the fewer,
the more metrics are sought."""
LOOK_BACK_IN_ALL: Final = 2_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Slot:
    machine: str
    metric: str
    machine_id: int
    slot: int


@dataclass(frozen=True, slots=True)
class _Newest:
    machine_id: int
    ts: datetime
    arrived: datetime
    values: list[float | None]


@dataclass(frozen=True, slots=True)
class _Last:
    machine_id: int
    slot: int
    ts: datetime
    value: float


class Machines(Database):
    """Reads and writes machines."""

    async def machines(self) -> list[Machine]:
        """Return all machines by name."""
        return await self._all(_machine, "machines", machine=None)

    async def machine(self, name: str) -> Machine | None:
        """Return one machine, None where it was never seen."""
        return await self._one(_machine, "machines", machine=name)

    async def save_machine(self, machine: Machine) -> None:
        """Write down what is known of a machine, over what was known before."""
        await self.save_machines([machine])

    async def save_machines(self, some: Sequence[Machine]) -> None:
        """Write down what is known of machines, all or none. Raises BadValueError if one cannot be kept."""
        await self._run(
            "save_machines",
            machines=[one.machine for one in some],
            names=[one.name for one in some],
            types=[one.type for one in some],
            places=[None if one.place is None else _json(one.place) for one in some],
            metrics=[_json(one.metrics) for one in some],
            rated_power_kw=[one.rated_power_kw for one in some],
            parents=[one.parent for one in some],
            first_seen=[one.first_seen for one in some],
        )

    async def latest(self, now: datetime) -> list[Remembered]:
        """Return every machine with its last values that are not later than `now`: a warm start.

        Without the numbers of metrics that a machine has not sent for long: see LOOK_BACK.
        """
        async with self.transaction() as cursor:
            machines = await fetch(cursor, _machine, "machines", machine=None)
            slots = await fetch(cursor, _Slot, "slots")
            texts = await fetch(cursor, State, "latest_texts", now=now)
        known = sorted({one.machine_id for one in slots})
        rows = {one.machine_id: one for one in await self._newest(known, now)}
        values: dict[str, dict[str, LatestValue]] = {one.machine: {} for one in machines}
        seen = {one.machine: one.first_seen for one in machines}
        sought: list[_Slot] = []
        for slot in slots:
            row = rows.get(slot.machine_id)
            if row is None:
                continue
            seen[slot.machine] = max(seen[slot.machine], min(row.arrived, now))
            value = row.values[slot.slot - 1] if slot.slot <= len(row.values) else None
            if value is None:
                sought.append(slot)
            else:
                values[slot.machine][slot.metric] = LatestValue(ts=row.ts, value=value)
        for slot, last in await self._look_back(sought, now):
            values[slot.machine][slot.metric] = LatestValue(ts=last.ts, value=last.value)
        for state in texts:
            values[state.machine][state.field] = LatestValue(ts=state.ts, value=state.text)
            seen[state.machine] = max(seen[state.machine], state.ts)
        return [Remembered(one, values[one.machine], seen[one.machine]) for one in machines]

    async def _newest(self, machine_ids: Sequence[int], now: datetime) -> list[_Newest]:
        return [
            row
            for some in _some(machine_ids)
            for row in await self._all(_Newest, "newest_rows", machine_ids=list(some), now=now)
        ]

    async def _look_back(self, sought: Sequence[_Slot], now: datetime) -> list[tuple[_Slot, _Last]]:
        if not sought:
            return []
        rows = min(max(LOOK_BACK_IN_ALL // len(sought), LOOK_BACK[0]), LOOK_BACK[-1])
        asked = {(one.machine_id, one.slot): one for one in sought}
        found: list[tuple[_Slot, _Last]] = []
        for some in _some(list(asked)):
            values = {"machine_ids": [one[0] for one in some], "slots": [one[1] for one in some]}
            lasts = await self._all(_Last, "newest_in_slots", **values, now=now, rows=rows)
            found += [(asked[last.machine_id, last.slot], last) for last in lasts]
        return found


def _some(all_of_them: Sequence[T]) -> Iterator[Sequence[T]]:
    """Give a few at a time, so that no statement is long."""
    for start in range(0, len(all_of_them), MACHINES_AT_ONCE):
        yield all_of_them[start : start + MACHINES_AT_ONCE]


def _json(what: object) -> str:
    return msgspec.json.encode(what).decode()


def _machine(*, place: Any, metrics: Any, **columns: Any) -> Machine:
    return Machine(
        place=msgspec.convert(place, Place | None),
        metrics=msgspec.convert(metrics, dict[str, MetricInfo]),
        **columns,
    )
