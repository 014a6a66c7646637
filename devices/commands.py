"""Orders to the simulated factory, decided without a bus: `fault`, `clear` and `faults`."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final, NoReturn

from broker.commands import Arguments, CommandError, Order, Result, Verb
from devices import factory as plant

_LONGEST_S: Final = 10 * 366 * 86_400.0
_KINDS: Final = ", ".join(plant.FaultKind)


def verbs(factory: plant.Factory, factory_time: Callable[[datetime], datetime]) -> dict[str, Verb]:
    """Return what can be ordered of a factory; `factory_time` tells its time at a real one."""
    orders = _Orders(factory, factory_time)
    return {"fault": orders.fault, "clear": orders.clear, "faults": orders.faults}


class _Orders:
    def __init__(self, factory: plant.Factory, factory_time: Callable[[datetime], datetime]) -> None:
        self._factory = factory
        self._factory_time = factory_time

    def fault(self, order: Order) -> Result:
        args, now = order.args, self._factory_time(order.now)
        _only(args, ("machine", "fault", "severity", "duration_s", "metric"))
        duration_s = None if args.get("duration_s") is None else _number(args, "duration_s")
        fault = plant.Fault(
            machine=_text(args, "machine"),
            kind=_kind(args),
            severity=1.0 if args.get("severity") is None else _number(args, "severity"),
            start=now,
            duration=None if duration_s is None else _span(duration_s),
            metric=None if args.get("metric") is None else _text(args, "metric"),
        )
        self._factory.inject(fault)
        return {"machine": fault.machine, "fault": fault.kind.value, **_told(fault)}

    def clear(self, order: Order) -> Result:
        args, now = order.args, self._factory_time(order.now)
        _only(args, ("machine", "fault"))
        machine = _text(args, "machine")
        kind = None if args.get("fault") is None else _kind(args)
        cleared = self._factory.clear(machine, kind)
        if not cleared:
            there = [f.kind for f in self._factory.faults(now) if f.machine == machine]
            _fail("no_such_fault", f"{machine} has {', '.join(there) or 'no fault'}")
        return {"machine": machine, "cleared": float(cleared)}

    def faults(self, order: Order) -> Result:
        args, now = order.args, self._factory_time(order.now)
        _only(args, ())
        active = [fault for fault in self._factory.faults(now) if fault.active(now)]
        listed = {f"{fault.machine}/{fault.kind}": _sentence(fault) for fault in active}
        return {"count": float(len(active)), **listed}


def _told(fault: plant.Fault) -> Result:
    told: Result = {"severity": fault.severity, "from": fault.start.isoformat(timespec="milliseconds")}
    if fault.end is not None:
        told["until"] = fault.end.isoformat(timespec="milliseconds")
    if fault.metric is not None:
        told["metric"] = fault.metric
    return told


def _sentence(fault: plant.Fault) -> str:
    return ", ".join(f"{name} {value}" for name, value in _told(fault).items())


def _fail(code: str, text: str) -> NoReturn:
    raise CommandError(code, text)


def _only(args: Arguments, known: Collection[str]) -> None:
    unknown = [name for name in args if name not in known]
    if unknown:
        _fail("bad_argument", f"there is no argument {unknown[0]!a}; there are: {', '.join(known) or 'none'}")


def _text(args: Arguments, name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str):
        _fail("bad_argument", f"{name} is missing or no text: give args.{name}, such as {_EXAMPLES[name]!a}")
    return value


def _number(args: Arguments, name: str) -> float:
    value = args.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _fail("bad_argument", f"{name} must be a number, such as {_EXAMPLES[name]}")
    return float(value)


def _kind(args: Arguments) -> plant.FaultKind:
    text = _text(args, "fault")
    try:
        return plant.FaultKind(text)
    except ValueError:
        _fail("bad_argument", f"there is no fault {text[:64]!a}; there are {_KINDS}")


def _span(seconds: float) -> timedelta:
    if seconds > _LONGEST_S:
        _fail("bad_argument", f"duration_s {seconds:g} is too long; leave it out for a fault that stays")
    return timedelta(seconds=max(seconds, 0.0))


_EXAMPLES: Final = {
    "machine": "compressor-1",
    "fault": "leak",
    "severity": "0.6",
    "duration_s": "900",
    "metric": "temperature_c",
}
