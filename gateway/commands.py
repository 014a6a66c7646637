"""What can be ordered of the gateway over the bus, through the same functions as over HTTP.

`command/<user>/gateway/history` with args machine, metric (one, or several with commas; all where it is left
out), start, end (RFC 3339 with a zone), points; answered with columns.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from broker.bus import Bus
from broker.commands import Arguments, CommandError, Commands, Order, Result
from gateway.history import DEFAULT_POINTS, HistoryQuery, UnknownHistoryError, history
from gateway.store import Store, StoreUnavailableError

SERVICE: Final = "gateway"
RETRY_S: Final = 5
_ARGUMENTS: Final = ("machine", "metric", "start", "end", "points")


class GatewayCommands:
    """Answers orders to the gateway. Make it before entering the bus."""

    def __init__(
        self, bus: Bus, store: Store, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._commands = Commands(bus, SERVICE, {"history": self._history}, now)

    async def run(self) -> None:
        """Obey until cancelled."""
        await self._commands.run()

    async def _history(self, order: Order) -> Result:
        asked = history_query(order.args, order.now)
        try:
            found = await history(self._store, asked)
        except UnknownHistoryError as error:
            raise CommandError("not_found", str(error)) from error
        except StoreUnavailableError as error:
            raise CommandError("unavailable", f"{error}; try again in {RETRY_S} s") from error
        # Times as text: what a reply holds is JSON, and its encoder sees no types.
        told: Result = msgspec.to_builtins(found)
        return told


def history_query(args: Arguments, now: datetime) -> HistoryQuery:
    """Return the question that a command's arguments ask. Raises CommandError or ValueError."""
    unknown = [name for name in args if name not in _ARGUMENTS]
    if unknown:
        known = ", ".join(_ARGUMENTS)
        raise CommandError("bad_argument", f"there is no argument {unknown[0][:64]!a}; there are: {known}")
    machine = _text(args, "machine")
    if machine is None:
        raise CommandError("bad_argument", "machine is missing: give args.machine, such as 'press-7'")
    metrics = [name.strip() for name in (_text(args, "metric") or "").split(",")]
    return HistoryQuery.of(
        machine,
        now,
        metrics=[name for name in metrics if name],
        start=_time(args, "start"),
        end=_time(args, "end"),
        points=_points(args),
    )


def _text(args: Arguments, name: str) -> str | None:
    value = args.get(name)
    if value is not None and not isinstance(value, str):
        raise CommandError("bad_argument", f"{name} must be a text, not {value!r}")
    return value


def _time(args: Arguments, name: str) -> datetime | None:
    text = _text(args, name)
    if text is None:
        return None
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        wanted = "RFC 3339 with a zone, such as 2026-01-31T16:10:00Z"
        raise CommandError("bad_argument", f"{name} {text[:40]!a} is not a time: give {wanted}") from error


def _points(args: Arguments) -> int:
    value = args.get("points")
    if value is None:
        return DEFAULT_POINTS
    if isinstance(value, (bool, str)) or value != int(value):
        raise CommandError("bad_argument", f"points must be a whole number such as 1000, not {value!a}")
    return int(value)
