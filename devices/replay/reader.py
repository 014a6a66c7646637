"""Reads a recording of machine data from CSV text, whatever logger wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from devices.replay.columns import Cells, Column, name_columns, read_cells
from devices.replay.csv_text import Line, find_separator, said_separator, split
from devices.replay.errors import RecordingError
from devices.replay.time_column import find_columns, named_columns, read_times


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How to read; what is None is found out from the file.

    `units` and `renames` are by the column's header; `skip` names columns to leave out; `first` and `last`
    choose rows by index from 0, both included; `time_column` may join a date and a time of day, such as
    `Date+Time`; `time_format` is a strptime format or `elapsed` for seconds from the start; `zone` is where
    times without a zone were recorded.
    """

    separator: str | None = None
    decimal: str | None = None
    time_column: str | None = None
    time_format: str | None = None
    zone: tzinfo = UTC
    skip: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    renames: Mapping[str, str] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """One row; `index` counts rows from 0 in the order of time. Missing cells are left out."""

    index: int
    recorded: datetime
    numbers: Mapping[str, float]
    states: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Recording:
    """The chosen rows in the order of time; `begins` and `ends` belong to the whole file, not the choice."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[RecordedRow, ...]
    begins: datetime
    ends: datetime
    total_rows: int
    notes: tuple[str, ...]


def read_file(path: Path, options: ReadOptions) -> Recording:
    """Read a CSV file in UTF-8, or failing that in Windows-1252.

    Raises RecordingError, or OSError when it cannot be opened.
    """
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    try:
        return read_text(text, path.name, options)
    except RecordingError as error:
        msg = f"{path}: {error}"
        raise RecordingError(msg) from error


def read_text(text: str, name: str, options: ReadOptions) -> Recording:
    """Read CSV text. Raises RecordingError."""
    said, text = said_separator(text)
    lines = split(text, options.separator or said or find_separator(text))
    header, body = [cell.strip() for cell in lines[0].cells], lines[1:]
    _check_names(header, options)
    time_at = _time_columns(header, body, options)
    moments = read_times(header, body, time_at, options.time_format, options.zone)
    columns, cells = _columns(header, body, time_at, options)
    notes = []
    order = sorted(range(len(body)), key=moments.__getitem__)
    if order != list(range(len(body))):
        notes.append("rows were not in the order of time: they are sorted")
    doubled = len(body) - len(set(moments))
    if doubled:
        notes.append(f"{doubled} rows have the time of another: of such readings one will be kept")
    rows = [
        _row(place, moments[at], columns, [column[at] for column in cells]) for place, at in enumerate(order)
    ]
    return Recording(
        name=name,
        columns=tuple(columns),
        rows=_chosen(rows, options),
        begins=rows[0].recorded,
        ends=rows[-1].recorded,
        total_rows=len(rows),
        notes=tuple(notes),
    )


def _check_names(header: list[str], options: ReadOptions) -> None:
    asked = [("--skip", name) for name in options.skip]
    asked += [("--unit", name) for name in options.units] + [("--rename", name) for name in options.renames]
    for option, name in asked:
        if name not in header:
            msg = f"{option}: there is no column {name!a}; there are {', '.join(header)}"
            raise RecordingError(msg)


def _time_columns(header: list[str], body: list[Line], options: ReadOptions) -> list[int]:
    if options.time_column is None:
        return find_columns(header, body, options.time_format)
    named = named_columns(header, options.time_column)
    if named is None:
        msg = f"--time-column: there is no column {options.time_column!a}; there are {', '.join(header)}"
        raise RecordingError(msg)
    return named


def _columns(
    header: list[str], body: list[Line], time_at: list[int], options: ReadOptions
) -> tuple[list[Column], list[Cells]]:
    played = [at for at, name in enumerate(header) if at not in time_at and name not in options.skip]
    if not played:
        msg = "there is no column left to play beside the time: skip fewer of them"
        raise RecordingError(msg)
    columns, cells = [], []
    names = name_columns(header, played, options.units, options.renames)
    for at, (metric, unit) in zip(played, names, strict=True):
        values, text = read_cells(header[at], body, at, options.decimal)
        columns.append(Column(header[at], metric, unit, text))
        cells.append(values)
    return columns, cells


def _row(index: int, moment: datetime, columns: list[Column], cells: Cells) -> RecordedRow:
    numbers: dict[str, float] = {}
    states: dict[str, str] = {}
    for column, cell in zip(columns, cells, strict=True):
        if isinstance(cell, str):
            states[column.metric] = cell
        elif cell is not None:
            numbers[column.metric] = cell
    return RecordedRow(index, moment, numbers, states)


def _chosen(rows: list[RecordedRow], options: ReadOptions) -> tuple[RecordedRow, ...]:
    first = 0 if options.first is None else options.first
    last = len(rows) - 1 if options.last is None else options.last
    if not 0 <= first <= last or first >= len(rows):
        msg = f"--first {first} --last {last} chooses nothing: the file has rows 0 to {len(rows) - 1}"
        raise RecordingError(msg)
    return tuple(rows[first : last + 1])
