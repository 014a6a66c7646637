"""The last value of every metric of one machine, kept as the rows came and taken apart when asked for."""

from collections.abc import Iterable, Mapping
from typing import Final

from broker.messages import LatestValue
from broker.telemetry import Row, State

MAX_HELD: Final = 16


class LastValues:
    """By metric or state the newest value; of two of the same time the one taken in later.

    Most machines send rows of the same metrics: holding the newest of them costs one comparison a row.
    Rows of more shapes than MAX_HELD are put together, so that a machine may send as many as it likes.
    """

    __slots__ = ("_held", "_settled")

    def __init__(self, values: dict[str, LatestValue] | None = None) -> None:
        self._settled = dict(values or {})
        # In the order taken in: rows by their metrics, states by their field.
        self._held: dict[tuple[str, ...] | str, Row | State] = {}

    def holds(self, metrics: tuple[str, ...]) -> bool:
        """Whether a row of these metrics is held: then none of them is new."""
        return metrics in self._held

    def take(self, one: Row | State) -> bool:
        """Take in a row or a state; whether it was not older than what is held of its kind."""
        key = one.metrics if isinstance(one, Row) else one.field
        held = self._held
        old = held.get(key)
        if old is None:
            if len(held) >= MAX_HELD:
                self._settle()
                held.clear()
        elif old.ts > one.ts:
            return False
        elif len(held) > 1:
            del held[key]
        held[key] = one
        return True

    def fill(self, values: Mapping[str, LatestValue]) -> None:
        """Add older values: those of names that have none, or an older one."""
        self._settle()
        self._held.clear()
        for name, value in values.items():
            old = self._settled.get(name)
            if old is None or old.ts < value.ts:
                self._settled[name] = value

    def all(self) -> dict[str, LatestValue]:
        """Return a new dict of the values by name, those of the first kind seen first."""
        self._settle()
        return dict(self._settled)

    def _settle(self) -> None:
        """Put what is held into the settled values. Done twice it changes nothing."""
        settled = self._settled
        for one in self._held.values():
            ts = one.ts
            for name, value in _named(one):
                old = settled.get(name)
                if old is None or old.ts <= ts:
                    settled[name] = LatestValue(ts=ts, value=value)


def _named(one: Row | State) -> Iterable[tuple[str, float | str]]:
    if isinstance(one, Row):
        return zip(one.metrics, one.values, strict=True)
    return ((one.field, one.text),)
