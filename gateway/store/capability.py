"""What a database can do, and the SQL that is meant for it."""

import re
from enum import StrEnum
from typing import Final

from gateway.store.errors import SchemaError

_ONLY: Final = re.compile(r"\s*-- only: ([a-z, ]+)")
_END: Final = re.compile(r"\s*-- end")


class Capability(StrEnum):
    """How readings are kept by week: found when a database is first used, and never changed after."""

    PLAIN = "plain"
    """Declarative partitions of PostgreSQL."""
    APACHE = "apache"
    """Hypertables of TimescaleDB's Apache edition."""
    TIMESCALE = "timescale"
    """Hypertables with compression and policies."""


def capability_of(edition: str | None) -> Capability:
    """Return what TimescaleDB of an edition (its `timescaledb.license`) gives; None: there is none."""
    return Capability(edition) if edition in {"apache", "timescale"} else Capability.PLAIN


def render(text: str, capability: Capability) -> str:
    """Return the SQL for one capability: a section from `-- only: NAME, …` to `-- end` is for those it names.

    Sections may stand in one another. Raises SchemaError where a section has no end, or an unknown name.
    """
    kept: list[str] = []
    inside: list[bool] = []
    for line in text.splitlines():
        if only := _ONLY.fullmatch(line):
            inside.append(capability in _named(only[1]))
        elif _END.fullmatch(line):
            if not inside:
                msg = "'-- end' without '-- only: …' before it"
                raise SchemaError(msg)
            inside.pop()
        elif all(inside):
            kept.append(line)
    if inside:
        msg = "'-- only: …' without '-- end' after it"
        raise SchemaError(msg)
    return "\n".join(kept) + "\n"


def _named(words: str) -> list[Capability]:
    try:
        return [Capability(word.strip()) for word in words.split(",")]
    except ValueError as error:
        msg = f"'-- only:' knows {', '.join(Capability)}: {error}"
        raise SchemaError(msg) from error
