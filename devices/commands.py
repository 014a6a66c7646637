"""Orders to the simulated factory, decided without a bus: `fault`, `clear` and `faults`."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, NoReturn

from broker.messages import Command, Fault, Reply
from broker.topics import CommandTopic
from devices import factory as plant

Scalar = str | float | bool | None
Result = dict[str, Scalar]

_REMEMBERED: Final = 1000
_LONGEST_S: Final = 10 * 366 * 86_400.0
_KINDS: Final = ", ".join(plant.FaultKind)


class CommandError(Exception):
    """A command that cannot be done. `code` is one of a few words, the text says what is possible."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Commands:
    """Carries out commands on a factory. The same user's command id twice has one effect and one answer."""

    def __init__(self, factory: plant.Factory) -> None:
        self._factory = factory
        self._answered: OrderedDict[tuple[str, str], Reply] = OrderedDict()
        self._verbs: dict[str, Callable[[Mapping[str, Scalar], datetime], Result]] = {
            "fault": self._fault,
            "clear": self._clear,
            "faults": self._faults,
        }

    def answer(self, where: CommandTopic, command: Command, now: datetime) -> Reply:
        """Do what is ordered at the factory's time `now` and return the reply."""
        key = where.user, command.id
        known = self._answered.get(key)
        if known is not None:
            return known
        reply = self._do(where.verb, command, now)
        self._answered[key] = reply
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)
        return reply

    def _do(self, verb: str, command: Command, now: datetime) -> Reply:
        try:
            act = self._verbs.get(verb)
            if act is None:
                _fail("unknown_verb", f"the simulator knows {', '.join(self._verbs)}, not {verb!a}")
            return Reply(id=command.id, ok=True, result=act(command.args, now))
        except CommandError as error:
            return Reply(id=command.id, ok=False, error=Fault(code=error.code, text=str(error)))
        except ValueError as error:
            return Reply(id=command.id, ok=False, error=Fault(code="bad_argument", text=str(error)))

    def _fault(self, args: Mapping[str, Scalar], now: datetime) -> Result:
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

    def _clear(self, args: Mapping[str, Scalar], now: datetime) -> Result:
        _only(args, ("machine", "fault"))
        machine = _text(args, "machine")
        kind = None if args.get("fault") is None else _kind(args)
        cleared = self._factory.clear(machine, kind)
        if not cleared:
            there = [f.kind for f in self._factory.faults(now) if f.machine == machine]
            _fail("no_such_fault", f"{machine} has {', '.join(there) or 'no fault'}")
        return {"machine": machine, "cleared": float(cleared)}

    def _faults(self, args: Mapping[str, Scalar], now: datetime) -> Result:
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


def _only(args: Mapping[str, Scalar], known: Collection[str]) -> None:
    unknown = [name for name in args if name not in known]
    if unknown:
        _fail("bad_argument", f"there is no argument {unknown[0]!a}; there are: {', '.join(known) or 'none'}")


def _text(args: Mapping[str, Scalar], name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str):
        _fail("bad_argument", f"{name} is missing or no text: give args.{name}, such as {_EXAMPLES[name]!a}")
    return value


def _number(args: Mapping[str, Scalar], name: str) -> float:
    value = args.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _fail("bad_argument", f"{name} must be a number, such as {_EXAMPLES[name]}")
    return float(value)


def _kind(args: Mapping[str, Scalar]) -> plant.FaultKind:
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
