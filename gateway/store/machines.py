"""The machines, and what the database holds of their present."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from broker.messages import LatestValue, Machine, MetricInfo, Place
from broker.telemetry import State
from gateway.store.database import Database, fetch
from gateway.store.rows import Remembered


@dataclass(frozen=True, slots=True)
class _Last:
    machine: str
    metric: str
    ts: datetime
    value: float
    arrived: datetime


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
        await self._run(
            "save_machine",
            machine=machine.machine,
            name=machine.name,
            type=machine.type,
            place=None if machine.place is None else _json(machine.place),
            metrics=_json(machine.metrics),
            rated_power_kw=machine.rated_power_kw,
            parent=machine.parent,
            first_seen=machine.first_seen,
        )

    async def latest(self, now: datetime) -> list[Remembered]:
        """Return every machine with its last values that are not later than `now`: a warm start."""
        async with self.transaction() as cursor:
            machines = await fetch(cursor, _machine, "machines", machine=None)
            numbers = await fetch(cursor, _Last, "latest_readings", now=now)
            texts = await fetch(cursor, State, "latest_texts", now=now)
        values: dict[str, dict[str, LatestValue]] = {one.machine: {} for one in machines}
        seen = {one.machine: one.first_seen for one in machines}
        for last in numbers:
            values[last.machine][last.metric] = LatestValue(ts=last.ts, value=last.value)
            seen[last.machine] = max(seen[last.machine], min(last.arrived, now))
        for state in texts:
            values[state.machine][state.field] = LatestValue(ts=state.ts, value=state.text)
            seen[state.machine] = max(seen[state.machine], state.ts)
        return [Remembered(one, values[one.machine], seen[one.machine]) for one in machines]


def _json(what: object) -> str:
    return msgspec.json.encode(what).decode()


def _machine(*, place: Any, metrics: Any, **columns: Any) -> Machine:
    return Machine(
        place=msgspec.convert(place, Place | None),
        metrics=msgspec.convert(metrics, dict[str, MetricInfo]),
        **columns,
    )
