"""Machines and series as a batch needs them: looked up once, made where they are new."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from broker.units import unit_of
from gateway.store.database import Cursor, fetch
from gateway.store.errors import BadValueError
from gateway.store.queries import query
from gateway.store.samples import Layout, shape_of

MOST_METRICS: Final = 2000
"""Of one machine: each row of it may be as long as it has metrics, so names that never end are refused."""

Key = tuple[str, tuple[str, ...]]
"""A machine, and the metrics of a row of it in their order."""
Name = tuple[str, str]
"""A machine and one metric."""


@dataclass(frozen=True, slots=True)
class _Slot:
    machine: str
    metric: str
    machine_id: int
    slot: int


async def add_machines(cursor: Cursor, first_seen: dict[str, datetime]) -> tuple[str, ...]:
    """Make the machines that are not there; returns those."""
    if not first_seen:
        return ()
    names = sorted(first_seen)
    values = {"machines": names, "first_seen": [first_seen[name] for name in names]}
    await cursor.execute(query("add_machines"), values)
    return tuple(row[0] for row in await cursor.fetchall())


async def lay_out(
    cursor: Cursor, keys: Iterable[Key], first_seen: dict[str, datetime]
) -> tuple[dict[Key, Layout], tuple[str, ...], tuple[Name, ...]]:
    """Return the layout of each key, the machines and the series that had to be made for it.

    `first_seen` has every machine of `keys`, and others that must be there too. Raises BadValueError where a
    machine has more than MOST_METRICS.
    """
    keys = list(keys)
    names = list(dict.fromkeys((machine, metric) for machine, metrics in keys for metric in metrics))
    # Most are there after a restart, and every refused insert would use up a number.
    found = await _find(cursor, names)
    known = {machine for machine, _ in found}
    machines = await add_machines(cursor, {name: at for name, at in first_seen.items() if name not in known})
    series: tuple[Name, ...] = ()
    if missing := [name for name in names if name not in found]:
        series = await _add_series(cursor, missing)
        found |= await _find(cursor, missing)
    return {key: _layout(key, found) for key in keys}, machines, series


async def _find(cursor: Cursor, names: list[Name]) -> dict[Name, _Slot]:
    if not names:
        return {}
    wanted = {"machines": [name[0] for name in names], "metrics": [name[1] for name in names]}
    return {(one.machine, one.metric): one for one in await fetch(cursor, _Slot, "find_slots", **wanted)}


async def _add_series(cursor: Cursor, missing: list[Name]) -> tuple[Name, ...]:
    machines, metrics = [name[0] for name in missing], [name[1] for name in missing]
    await cursor.execute(query("lock_machines"), {"machines": sorted(set(machines))})
    units = [unit_of(metric) for metric in metrics]
    await cursor.execute(query("add_series"), {"machines": machines, "metrics": metrics, "units": units})
    made = await cursor.fetchall()
    for machine, metric, slot in made:
        if slot > MOST_METRICS:
            msg = f"{machine} has {MOST_METRICS} metrics already, so {metric[:80]!a} is not taken as one more"
            raise BadValueError(msg)
    return tuple((machine, metric) for machine, metric, _ in made)


def _layout(key: Key, found: dict[Name, _Slot]) -> Layout:
    machine, metrics = key
    slots = [found[machine, metric] for metric in metrics]
    return Layout(slots[0].machine_id, shape_of(tuple(one.slot for one in slots)))
