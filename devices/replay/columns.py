"""The columns of a recording: what each is called on the bus, its unit, its numbers or texts."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from devices.replay.csv_text import Line
from devices.replay.errors import RecordingError
from devices.replay.names import metric_name, split_unit

MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "?"})
"""What loggers write for no value, in any case."""
_DECIMAL_POINT: Final = re.compile(r"[+-]?[\d,]*\.\d+([eE][+-]?\d+)?")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_LONGEST_TEXT: Final = 256

Cells = Sequence[float | str | None]


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it will be published. `text` columns are states, the others numbers."""

    header: str
    metric: str
    unit: str
    text: bool


def name_columns(
    header: Sequence[str],
    played: Sequence[int],
    units: Mapping[str, str],
    renames: Mapping[str, str],
) -> list[tuple[str, str]]:
    """Return metric name and unit of each of the `played` columns; `units` and `renames` are by header."""
    names: list[tuple[str, str]] = []
    for at in played:
        plain, unit = split_unit(header[at])
        taken = [metric for metric, _ in names]
        metric = metric_name(renames.get(header[at], plain), at + 1, taken)
        names.append((metric, units.get(header[at], unit)))
    return names


def read_cells(header: str, body: Sequence[Line], at: int, decimal: str | None) -> tuple[Cells, bool]:
    """Return a column's cells, None where there is no value, and whether they are texts.

    A column is text when less than half of its values are numbers. Raises RecordingError when one is not.
    """
    texts = [line.cells[at].strip() for line in body]
    sign = decimal or _decimal(texts)
    numbers = [_number(text, sign) for text in texts]
    given = sum(text.lower() not in MISSING for text in texts)
    if 2 * sum(number is not None for number in numbers) < given:
        return [None if text.lower() in MISSING else text[:_LONGEST_TEXT] for text in texts], True
    for line, text, number in zip(body, texts, numbers, strict=True):
        if number is None and text.lower() not in MISSING:
            msg = (
                f"line {line.number}: {text[:40]!a} in column {header!a} is not a number; "
                f"correct it, leave the column out with --skip {header!r}, or give --decimal ','"
            )
            raise RecordingError(msg)
    return numbers, False


def _decimal(texts: list[str]) -> str:
    """Return the decimal sign of a column: a comma where some cell has one and no cell has a point."""
    comma = any(_DECIMAL_COMMA.fullmatch(text) for text in texts)
    return "," if comma and not any(_DECIMAL_POINT.fullmatch(text) for text in texts) else "."


def _number(text: str, decimal: str) -> float | None:
    if decimal == ",":
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
