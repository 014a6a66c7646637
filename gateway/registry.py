"""What the gateway knows of each machine now, and which of it has to be told again. No I/O here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from broker.messages import Announce, Health, Latest, LatestValue, Machine, MetricInfo
from broker.telemetry import Parsed
from broker.units import unit_of
from gateway.liveness import Arrivals

AT_MOST_EVERY: Final = timedelta(seconds=1)


@dataclass(slots=True)
class _Known:
    machine: Machine
    arrivals: Arrivals
    values: dict[str, LatestValue] = field(default_factory=dict)
    told_machine: Machine | None = None
    told_health: Health | None = None
    values_changed: bool = False
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class News:
    """Retained state that changed: each is published on the channel of its type."""

    machines: tuple[Machine, ...]
    latest: tuple[Latest, ...]
    health: tuple[Health, ...]


class Registry:
    """Machines by name. Time is always an argument: aware, UTC."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def restore(self, machine: Machine, values: dict[str, LatestValue], last_seen: datetime) -> None:
        """Put back what the database holds of a machine."""
        known = _Known(machine, Arrivals(last_seen), dict(values), values_changed=bool(values))
        self._known[machine.machine] = known

    def take(self, parsed: Parsed, arrived: datetime) -> None:
        """Take in a message that was read: new machines, new metrics, last values, how it arrived."""
        if not parsed.machine:
            return
        if not (parsed.readings or parsed.states):
            known = self._known.get(parsed.machine)
            if known is not None:
                known.arrivals.refused(arrived, len(parsed.refusals))
            return
        known = self._at(parsed.machine, arrived)
        newest = max([reading.ts for reading in parsed.readings] + [state.ts for state in parsed.states])
        known.arrivals.took(arrived, newest, len(parsed.refusals))
        self._learn_metrics(known, (reading.metric for reading in parsed.readings))
        for reading in parsed.readings:
            _take_value(known, reading.metric, reading.ts, reading.value, arrived)
        for state in parsed.states:
            _take_value(known, state.field, state.ts, state.text, arrived)

    def announce(self, machine: str, said: Announce, arrived: datetime) -> None:
        """Take in what a machine says of itself; what it leaves out stays as it was."""
        known = self._at(machine, arrived)
        old = known.machine
        known.machine = replace(
            old,
            name=said.name or old.name,
            type=said.type or old.type,
            place=said.place or old.place,
            metrics={**old.metrics, **said.metrics},
            rated_power_kw=said.rated_power_kw or old.rated_power_kw,
            parent=said.parent or old.parent,
        )

    def client_said(self, client: str, *, online: bool) -> None:
        """Note what a device's status topic says; a device's client id is its machine's name."""
        known = self._known.get(client)
        if known is not None:
            known.arrivals.said_offline = not online

    def machine(self, name: str) -> Machine | None:
        """Return what is known of a machine, None where it was never seen."""
        known = self._known.get(name)
        return known.machine if known else None

    def names(self) -> list[str]:
        """Return the names of all machines, sorted."""
        return sorted(self._known)

    def state_of(self, name: str, now: datetime) -> tuple[Machine, Latest, Health] | None:
        """Return a machine with its last values and health, None where it was never seen."""
        known = self._known.get(name)
        if known is None:
            return None
        return known.machine, _latest(known), known.arrivals.health(name, now)

    def is_number(self, machine: str, metric: str) -> bool:
        """Whether this field of the machine was a number before."""
        known = self._known.get(machine)
        return known is not None and metric in known.machine.metrics

    def news(self, now: datetime) -> News:
        """Return what changed since it was last asked for; last values at most once a second a machine."""
        changed = list(self._known.values())
        return News(
            tuple(_new_machines(changed)),
            tuple(_new_latest(changed, now)),
            tuple(_new_health(changed, now)),
        )

    def _at(self, name: str, arrived: datetime) -> _Known:
        known = self._known.get(name)
        if known is None:
            machine = Machine(machine=name, name=name, first_seen=arrived)
            known = self._known[name] = _Known(machine, Arrivals(arrived))
        return known

    def _learn_metrics(self, known: _Known, names: Iterable[str]) -> None:
        fresh = {name for name in names if name not in known.machine.metrics}
        if not fresh:
            return
        metrics = dict(known.machine.metrics)
        metrics.update({name: MetricInfo(unit=unit_of(name)) for name in sorted(fresh)})
        known.machine = replace(known.machine, metrics=metrics)


def _take_value(known: _Known, name: str, ts: datetime, value: float | str, arrived: datetime) -> None:
    # A device whose clock runs ahead still has a last value, but nothing here is from the future.
    ts = min(ts, arrived)
    old = known.values.get(name)
    if old is None or old.ts <= ts:
        known.values[name] = LatestValue(ts=ts, value=value)
        known.values_changed = True


def _latest(known: _Known) -> Latest:
    return Latest(machine=known.machine.machine, values=dict(known.values))


def _new_machines(some: list[_Known]) -> Iterator[Machine]:
    for known in some:
        if known.told_machine is not known.machine:
            known.told_machine = known.machine
            yield known.machine


def _new_latest(some: list[_Known], now: datetime) -> Iterator[Latest]:
    for known in some:
        if known.values_changed and (known.told_at is None or now - known.told_at >= AT_MOST_EVERY):
            known.values_changed = False
            known.told_at = now
            yield _latest(known)


def _new_health(some: list[_Known], now: datetime) -> Iterator[Health]:
    for known in some:
        health = known.arrivals.health(known.machine.machine, now)
        if known.arrivals.worth_telling(known.told_health, health):
            known.told_health = health
            yield health
