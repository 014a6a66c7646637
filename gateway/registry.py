"""What the gateway knows of each machine now, and which of it has to be told again. No I/O here."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from broker.messages import Announce, Health, Latest, LatestValue, Machine, MetricInfo
from broker.telemetry import Parsed, Row, State
from broker.units import unit_of
from gateway.last_values import LastValues
from gateway.liveness import Arrivals
from gateway.turns import Budget, Turns

AT_MOST_EVERY: Final = timedelta(seconds=1)
LATEST_PER_S: Final = 1000
LOOK_ROUND_S: Final = 1.0
"""Within this time every machine is looked at once, whether or not anything came from it."""


@dataclass(slots=True)
class _Known:
    machine: Machine
    arrivals: Arrivals
    values: LastValues
    told_health: Health | None = None


@dataclass(frozen=True, slots=True)
class News:
    """Retained state that changed: each is published on the channel of its type."""

    machines: tuple[Machine, ...]
    latest: tuple[Latest, ...]
    health: tuple[Health, ...]


class Registry:
    """Machines by name. Time is always an argument: aware, UTC.

    Taking in a message costs the same however much is known; what is told is made up only when it is
    asked for. Of more than `latest_per_s` machines that change each second, each is told as often as the
    others, and so are the figures of their health; a change of state is told however many there are.
    """

    def __init__(self, latest_per_s: float = LATEST_PER_S) -> None:
        self._known: dict[str, _Known] = {}
        self._names: list[str] = []  # as in `_known`; the round goes over them
        self._next_look = 0
        self._looked_at: datetime | None = None
        self._fresh_machines: dict[str, None] = {}
        self._urgent_health: dict[str, None] = {}
        self._latest_turns = Turns(AT_MOST_EVERY)
        self._latest_budget = Budget(latest_per_s)
        self._health_budget = Budget(latest_per_s)

    def restore(self, machine: Machine, values: dict[str, LatestValue], last_seen: datetime) -> None:
        """Put back what the database holds of a machine, beneath what came from it meanwhile."""
        known = self._known.get(machine.machine)
        if known is None:
            self._put(machine, Arrivals(last_seen), LastValues(values))
        else:
            known.machine = replace(machine, metrics={**known.machine.metrics, **machine.metrics})
            known.values.fill(values)
            self._fresh_machines[machine.machine] = None
        if values:
            self._latest_turns.add(machine.machine)

    def take(self, parsed: Parsed, arrived: datetime, *, complete: bool = True) -> None:
        """Take in a message that was read: new machines, new metrics, last values, how it arrived.

        Where the way here is not `complete`, as a session at QoS 0 is not, a hole is no message missed.
        """
        name, rows, states = parsed.machine, parsed.rows, parsed.states
        if not name:
            return
        known = self._known.get(name)
        if not (rows or states):
            if known is not None:
                known.arrivals.refused(arrived, len(parsed.refusals))
                self._mark_health(name, known, "bad_data")
            return
        if known is None:
            known = self._at(name, arrived)
        if len(rows) == 1 and not states:
            newest, single = rows[0].ts, True
        else:
            times = {row.ts for row in rows} | {state.ts for state in states}
            newest, single = max(times), len(times) == 1
        known.arrivals.took(
            arrived, newest, len(parsed.refusals), timed=not parsed.untimed, rhythmic=single and complete
        )
        self._mark_health(name, known, "ok")
        changed = False
        for row in rows:
            if not known.values.holds(row.metrics):
                self._learn_metrics(known, row.metrics)
            changed |= known.values.take(row if row.ts <= arrived else _row_at(row, arrived))
        for state in states:
            changed |= known.values.take(state if state.ts <= arrived else _state_at(state, arrived))
        if changed:
            self._latest_turns.add(name)

    def learn(self, name: str, rows: Sequence[Row], units: Mapping[str, str], now: datetime) -> None:
        """Take in history: new machines, new metrics with their `units`, and last values where it is later.

        What was imported says nothing of how a machine is now: its health stays as it was.
        """
        if not rows:
            return
        known = self._known.get(name)
        if known is None:
            machine = Machine(machine=name, name=name, first_seen=min(row.arrived for row in rows))
            seen = min(now, max(row.ts for row in rows))
            known = self._put(machine, Arrivals(seen), LastValues())
        changed = False
        for row in rows:
            if not known.values.holds(row.metrics):
                self._learn_metrics(known, row.metrics, units)
            changed |= known.values.take(row if row.ts <= now else _row_at(row, now))
        if changed:
            self._latest_turns.add(name)

    def announce(self, machine: str, said: Announce, arrived: datetime) -> None:
        """Take in what a machine says of itself; what it leaves out stays as it was."""
        known = self._known.get(machine) or self._at(machine, arrived)
        old = known.machine
        self._set_machine(
            known,
            replace(
                old,
                name=said.name or old.name,
                type=said.type or old.type,
                place=said.place or old.place,
                metrics={**old.metrics, **said.metrics},
                rated_power_kw=said.rated_power_kw or old.rated_power_kw,
                parent=said.parent or old.parent,
            ),
        )

    def client_said(self, client: str, *, online: bool) -> None:
        """Note what a device's status topic says; a device's client id is its machine's name."""
        known = self._known.get(client)
        if known is not None:
            known.arrivals.said(online=online)
            self._urgent_health[client] = None

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
        """Return what changed since it was last asked for; last values at most once a second a machine.

        To be asked often: who falls silent is noticed within a second of asking steadily.
        """
        machines = tuple(self._known[name].machine for name in self._fresh_machines)
        self._fresh_machines.clear()
        turns = self._latest_turns.take(self._latest_budget.refill(now), now)
        self._latest_budget.spend(len(turns))
        return News(
            machines,
            tuple(_latest(self._known[name]) for name in turns),
            tuple(self._new_health(now)),
        )

    def _put(self, machine: Machine, arrivals: Arrivals, values: LastValues) -> _Known:
        name = machine.machine
        if name not in self._known:
            self._names.append(name)
        known = self._known[name] = _Known(machine, arrivals, values)
        self._fresh_machines[name] = None
        self._urgent_health[name] = None
        return known

    def _at(self, name: str, arrived: datetime) -> _Known:
        return self._put(
            Machine(machine=name, name=name, first_seen=arrived), Arrivals(arrived), LastValues()
        )

    def _set_machine(self, known: _Known, machine: Machine) -> None:
        known.machine = machine
        self._fresh_machines[machine.machine] = None

    def _learn_metrics(
        self, known: _Known, names: Iterable[str], units: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        fresh = {name for name in names if name not in known.machine.metrics}
        if not fresh:
            return
        metrics = dict(known.machine.metrics)
        metrics.update({name: MetricInfo(unit=units.get(name) or unit_of(name)) for name in sorted(fresh)})
        self._set_machine(known, replace(known.machine, metrics=metrics))

    def _mark_health(self, name: str, known: _Known, state: str) -> None:
        """Have a machine looked at in the next round when it is not told to be in this state."""
        told = known.told_health
        if told is None or told.state != state:
            self._urgent_health[name] = None

    def _new_health(self, now: datetime) -> Iterator[Health]:
        now_s = now.timestamp()
        budget = self._health_budget.refill(now)
        told_figures = 0
        for name in [*self._urgent_health, *self._round(now)]:
            known = self._known[name]
            told = known.told_health
            if told is not None and not known.arrivals.is_news(told, now_s):
                if told_figures >= budget or not known.arrivals.is_old_news(told):
                    continue
                told_figures += 1
            known.told_health = known.arrivals.health(name, now)
            yield known.told_health
        self._urgent_health.clear()
        self._health_budget.spend(told_figures)

    def _round(self, now: datetime) -> list[str]:
        """Return the machines whose turn it is to be looked at: all of them in each LOOK_ROUND_S."""
        before, self._looked_at = self._looked_at, now
        count = len(self._names)
        passed_s = LOOK_ROUND_S if before is None else abs((now - before).total_seconds())
        start = self._next_look
        stop = start + math.ceil(count * min(1.0, passed_s / LOOK_ROUND_S))
        self._next_look = stop % count if count else 0
        return self._names[start:stop] + self._names[: max(0, stop - count)]


def _latest(known: _Known) -> Latest:
    return Latest(machine=known.machine.machine, values=known.values.all())


# A device whose clock runs ahead still has a last value, but nothing here is from the future.


def _row_at(row: Row, ts: datetime) -> Row:
    return Row(row.machine, ts, row.arrived, row.metrics, row.values)


def _state_at(state: State, ts: datetime) -> State:
    return State(state.machine, state.field, ts, state.text)
