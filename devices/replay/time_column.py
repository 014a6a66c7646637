"""Finds and reads the column of times, or the two columns of date and time of day."""

import re
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Final

from devices.replay import times
from devices.replay.csv_text import Line
from devices.replay.errors import RecordingError

JOINED_BY: Final = "+"
"""Between the headers of a date and a time of day, as in `--time-column Date+Time`."""

_LIKELY: Final = ("datetime", "timestamp", "time", "date", "ts")
_DATES: Final = frozenset({"date", "datum", "day"})
_TIMES_OF_DAY: Final = frozenset({"time", "zeit", "uhrzeit"})
_TIME_OF_DAY: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?")


def named_columns(header: Sequence[str], asked: str) -> list[int] | None:
    """Return where the column, or the joined columns, named by hand stand; None where one is not there."""
    names = [asked] if asked in header else asked.split(JOINED_BY)
    return [header.index(name) for name in names] if all(name in header for name in names) else None


def find_columns(header: Sequence[str], body: Sequence[Line], form: str | None) -> list[int]:
    """Return where the times stand: one column, or a date and a time of day.

    With a format by hand a column that is called like a time is taken for one. Raises RecordingError.
    """
    lowered = [name.lower() for name in header]
    firsts = [_first(body, at) for at in range(len(header))]
    dates = [at for at, name in enumerate(lowered) if name in _DATES]
    clocks = [
        at for at, name in enumerate(lowered) if name in _TIMES_OF_DAY and _TIME_OF_DAY.fullmatch(firsts[at])
    ]
    if dates and clocks:
        return [dates[0], clocks[0]]
    likely = [lowered.index(name) for name in _LIKELY if name in lowered]
    for at in (*likely, *range(len(header))):
        if times.looks_like_time(firsts[at]) or (form and at in likely):
            return [at]
    msg = (
        f"no column holds times; name it by hand: --time-column NAME, one of {', '.join(header)}, "
        f"with --time-format {times.ELAPSED} where it counts seconds from the start"
    )
    raise RecordingError(msg)


def _first(body: Sequence[Line], at: int) -> str:
    return next((line.cells[at].strip() for line in body if line.cells[at].strip()), "")


def read_times(
    header: Sequence[str], body: Sequence[Line], columns: Sequence[int], form: str | None, zone: tzinfo
) -> list[datetime]:
    """Return each line's time in UTC. Raises RecordingError naming the first line that has none."""
    texts = [" ".join(line.cells[at].strip() for at in columns) for line in body]
    form = form or times.find_format(texts, body[0].number)
    moments = []
    for line, text in zip(body, texts, strict=True):
        try:
            moments.append(times.parse(text, form, zone))
        except (ValueError, OverflowError) as error:
            name = JOINED_BY.join(header[at] for at in columns)
            shape = form or "ISO 8601 or seconds since 1970"
            msg = (
                f"line {line.number}: {text[:40]!a} in column {name!a} is not a time of the form {shape}; "
                "give --time-column or --time-format by hand"
            )
            raise RecordingError(msg) from error
    return moments
