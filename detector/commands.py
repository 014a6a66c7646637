"""What can be ordered of the detector, on `command/<user>/detector/<verb>`; over HTTP the gateway orders it.

`detect` with args machine, start, end (RFC 3339 with a zone), contamination, use_baseline, publish: a
back-test. `maintain` with args machine, on: nothing is judged while somebody works on the machine. `model`
with args machine, kind: the machine is learnt again, as a model of this kind, or as its data decides.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from broker.bus import Bus
from broker.commands import Arguments, CommandError, Commands, Order, Result, Verb
from broker.topics import BadTopicError, MachineTopic
from detector.backtest_order import BackTests, DetectOrder
from detector.live import Live
from detector.models import KINDS
from detector.store import ModelStore
from detector.telling import Telling

SERVICE: Final = "detector"


class DetectorCommands:
    """Answers orders to the detector. Make it before entering the bus."""

    def __init__(
        self,
        bus: Bus,
        live: Live,
        telling: Telling,
        store: ModelStore,
        back_tests: BackTests,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._live = live
        self._telling = telling
        self._store = store
        self._back_tests = back_tests
        verbs: dict[str, Verb] = {"detect": self._detect, "maintain": self._maintain, "model": self._model}
        self._commands = Commands(bus, SERVICE, verbs, now)

    async def run(self) -> None:
        """Obey until cancelled."""
        await self._commands.run()

    async def _detect(self, order: Order) -> Result:
        return await self._back_tests.run(detect_order(order.args))

    async def _maintain(self, order: Order) -> Result:
        known(order.args, "machine", "on")
        machine, on = self._heard(order.args), flag(order.args, "on", default=True)
        news = self._live.fleet.maintain(machine, on=on)
        self._store.keep_maintained(self._live.fleet.maintained)
        if news is not None:
            await self._telling.tell([(self._live.machines[machine], news)])
        return {"machine": machine, "maintenance": on}

    def _model(self, order: Order) -> Result:
        known(order.args, "machine", "kind")
        machine, kind = self._heard(order.args), order.args.get("kind") or None
        if kind is not None and kind not in KINDS:
            text = (
                f"there is no kind of model {kind!a}; there are {', '.join(KINDS)}, or none: its data decides"
            )
            raise CommandError("bad_argument", text)
        self._store.keep_wanted(machine, None if kind is None else str(kind))
        self._live.machines[machine].learn_again()
        return {"machine": machine, "kind": kind}

    def _heard(self, args: Arguments) -> str:
        machine = machine_of(args)
        if machine not in self._live.machines:
            raise CommandError("not_found", f"the detector has heard nothing of {machine!a}")
        return machine


def detect_order(args: Arguments) -> DetectOrder:
    """Return what is to be back-tested. Raises CommandError."""
    known(args, "machine", "start", "end", "contamination", "use_baseline", "publish")
    start, end = time_of(args, "start"), time_of(args, "end")
    if start >= end:
        raise CommandError("bad_argument", f"start {start.isoformat()} is not before end {end.isoformat()}")
    contamination = args.get("contamination")
    if contamination is not None and (
        isinstance(contamination, (bool, str)) or not 0.0 < contamination <= 0.5  # noqa: PLR2004
    ):
        raise CommandError(
            "bad_argument", f"contamination is above 0 and at most 0.5, not {contamination!a}: give 0.01"
        )
    use_baseline = flag(args, "use_baseline", default=False)
    if use_baseline and contamination is not None:
        raise CommandError("bad_argument", "give contamination or use_baseline, not both: each is a model")
    return DetectOrder(
        machine_of(args), start, end, contamination, use_baseline, flag(args, "publish", default=False)
    )


def known(args: Arguments, *names: str) -> None:
    """Raise CommandError where there is an argument of another name."""
    for name in args:
        if name not in names:
            text = f"there is no argument {name[:64]!a}; there are: {', '.join(names)}"
            raise CommandError("bad_argument", text)


def machine_of(args: Arguments) -> str:
    """Return the machine that is named. Raises CommandError."""
    machine = args.get("machine")
    if not isinstance(machine, str):
        raise CommandError("bad_argument", "machine is missing: give args.machine, such as 'press-7'")
    try:
        return MachineTopic(machine).machine
    except BadTopicError as error:
        raise CommandError("bad_argument", str(error)) from error


def flag(args: Arguments, name: str, *, default: bool) -> bool:
    """Return a yes or no. Raises CommandError."""
    value = args.get(name, default)
    if not isinstance(value, bool):
        raise CommandError("bad_argument", f"{name} is true or false, not {value!a}")
    return value


def time_of(args: Arguments, name: str) -> datetime:
    """Return a time in UTC. Raises CommandError."""
    value, wanted = args.get(name), "RFC 3339 with a zone, such as 2026-01-31T16:10:00Z"
    try:
        found = msgspec.convert(value, datetime, strict=True)
    except msgspec.ValidationError as error:
        raise CommandError("bad_argument", f"{name} {str(value)[:40]!a} is no time: give {wanted}") from error
    if found.tzinfo is None:
        raise CommandError("bad_argument", f"{name} {str(value)[:40]!a} has no zone: give {wanted}")
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        raise CommandError("bad_argument", f"{name} {found} lies outside the calendar") from error
