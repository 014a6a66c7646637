"""SQL read as SQL: each statement of gateway/sql/queries by its name."""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

SQL: Final[Traversable] = files("gateway") / "sql"
_HEAD: Final = re.compile(r"^-- name: (\w+)\n((?:--.*\n)+)", re.MULTILINE)


@cache
def query(name: str) -> bytes:
    """Return the statement called `name`, its parameters as `%(word)s`; raises KeyError."""
    return _all()[name]


@cache
def _all() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for file in sorted(SQL.joinpath("queries").iterdir(), key=lambda file: file.name):
        for name, statement in parse(file.read_text("utf-8")).items():
            if name in found:
                msg = f"two statements are called {name}; the second is in {file.name}"
                raise ValueError(msg)
            found[name] = statement.encode()
    return found


def parse(text: str) -> dict[str, str]:
    """Return the statements of a file. Each begins `-- name: word` and a comment that describes it.

    Raises ValueError where something stands outside of a described statement.
    """
    before, *parts = _HEAD.split(text)
    if before.strip():
        msg = f"a statement needs '-- name: word' and a line that describes it, near {before.strip()[:60]!r}"
        raise ValueError(msg)
    names, statements = parts[0::3], parts[2::3]
    for name, statement in zip(names, statements, strict=True):
        if "-- name:" in statement or not statement.strip().endswith(";"):
            msg = f"statement {name} does not end with ; before the next, or the next has no description"
            raise ValueError(msg)
    return {name: text.strip().removesuffix(";") for name, text in zip(names, statements, strict=True)}
