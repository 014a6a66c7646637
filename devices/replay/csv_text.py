"""CSV text as lines of cells, whatever separates them."""

import csv
import io
import re
from dataclasses import dataclass
from typing import Final

from devices.replay.errors import RecordingError

SEPARATORS: Final = ",;\t|"
_PROBED: Final = 200
_SAID: Final = re.compile(r'"?sep=."?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """One record; `number` is the line of the file it ends in, counted from 1."""

    number: int
    cells: list[str]


def said_separator(text: str) -> tuple[str | None, str]:
    """Return the separator a first line such as `sep=;` names, and the text with that line emptied."""
    first, _, rest = text.partition("\n")
    if _SAID.fullmatch(first.strip()) is None:
        return None, text
    return first.strip().strip('"')[-1], "\n" + rest


def find_separator(text: str) -> str:
    """Return what separates the columns. Raises RecordingError where that cannot be told."""
    sample = "\n".join(text.splitlines()[:_PROBED])
    header = sample.split("\n", 1)[0]
    for sure in (";", "\t", "|"):
        # None of these is ever part of a number, so a header that has one is separated by it.
        if sure in header:
            return sure
    if "," in header:
        return ","
    try:
        return csv.Sniffer().sniff(sample, SEPARATORS).delimiter
    except csv.Error as error:
        msg = "line 1: the separator between columns cannot be found; give it by hand: --separator ';'"
        raise RecordingError(msg) from error


def split(text: str, separator: str) -> list[Line]:
    """Return the header and at least one row, all of one width; empty lines are left out.

    Raises RecordingError.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        lines = [Line(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        msg = f"line {reader.line_num}: {error}"
        raise RecordingError(msg) from error
    if len(lines) < 2:  # noqa: PLR2004  a header and a row
        msg = "there is nothing to play: the file needs a line of headers and at least one row"
        raise RecordingError(msg)
    wanted = len(lines[0].cells)
    for line in lines:
        if len(line.cells) != wanted:
            msg = (
                f"line {line.number} has {len(line.cells)} columns where the header has {wanted}; "
                f"if {separator!a} is not what separates them, give --separator"
            )
            raise RecordingError(msg)
    return lines
