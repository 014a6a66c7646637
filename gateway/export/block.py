"""Some thousand lines of an export as columns, before they are made into a file's bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt


class Kind(Enum):
    """What a column holds."""

    TIME = "microseconds since 1970, UTC"
    NUMBER = "float64, NaN where there is none"
    COUNT = "int64"


@dataclass(frozen=True, slots=True)
class Label:
    """Whose line it is."""

    machine: str
    metric: str
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Lines as columns of one length. `label` is each line's index into `labels`."""

    labels: tuple[Label, ...]
    label: npt.NDArray[np.int32]
    columns: Mapping[str, npt.NDArray[Any]]


RAW: Final = {"ts": Kind.TIME, "value": Kind.NUMBER, "arrived": Kind.TIME}
ROLLED: Final = {
    "ts": Kind.TIME,
    "count": Kind.COUNT,
    "min": Kind.NUMBER,
    "mean": Kind.NUMBER,
    "max": Kind.NUMBER,
    "last": Kind.NUMBER,
    "energy_kwh": Kind.NUMBER,
}
"""The columns behind machine, metric and unit, in order."""

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def plain_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with ' before what would begin one.

    >>> plain_text("=1+1"), plain_text("kW")
    ("'=1+1", 'kW')
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def original_text(text: str) -> str:
    """Return what `plain_text` made safe as it was.

    >>> original_text("'=1+1"), original_text("'s")
    ('=1+1', "'s")
    """
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_STARTS) else text
