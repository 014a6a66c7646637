"""Which texts are worth a row: those that differ from the one before them."""

from collections.abc import Iterable, Mapping

from broker.telemetry import State

Field = tuple[str, str]


def changes(known: Mapping[Field, State], states: Iterable[State]) -> tuple[list[State], dict[Field, State]]:
    """Return the states to write, in the order of time, and the last state of each field they touch.

    `known` holds the last state seen of each field, whether it was written or only repeated the one before.
    A state that comes late is written, and after it the known one again: what was left out as a repetition
    would otherwise be lost between the two.
    """
    found: list[State] = []
    last: dict[Field, State] = {}
    for state in sorted(states, key=lambda one: one.ts):
        key = (state.machine, state.field)
        before = last.get(key) or known.get(key)
        if before is None or state.ts > before.ts:
            if before is None or state.text != before.text:
                found.append(state)
            last[key] = state
        elif state.text != before.text:
            found += [state, before]
    return sorted(found, key=lambda one: one.ts), last
