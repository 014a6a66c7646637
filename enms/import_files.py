"""Files of readings, piece by piece: CSV and Parquet, in the export's own form or with a column a metric."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from broker.units import unit_of
from devices.replay.columns import name_columns, read_cells
from devices.replay.csv_text import Line, find_separator, said_separator
from devices.replay.errors import RecordingError
from devices.replay.reader import ReadOptions
from devices.replay.time_column import find_columns, named_columns, read_times
from gateway.export.block import original_text
from gateway.export.encoders import rfc3339

READINGS_AT_ONCE: Final = 20_000
_BLOCK_BYTES: Final = 1024 * 1024
_PROBED_BYTES: Final = 64 * 1024
_LONG: Final = ("machine", "metric", "ts", "value")
_TIME: Final = pa.timestamp("us", tz="UTC")
_TYPES: Final = {
    **dict.fromkeys(("machine", "metric", "unit"), pa.string()),
    **dict.fromkeys(("ts", "arrived"), _TIME),
    "value": pa.float64(),
}


@dataclass(slots=True)
class Part:
    """Readings of one machine as the gateway takes them.

    `left_out` counts texts by column, where a number was wanted; `doubled` are readings the part itself had
    twice: of those the first stands.
    """

    machine: str
    ts: list[str] = field(default_factory=list)
    arrived: list[str | None] = field(default_factory=list)
    metrics: dict[str, list[float | None]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    doubled: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def readings(self) -> int:
        """How many readings there are."""
        return sum(len(cells) - cells.count(None) for cells in self.metrics.values())

    def halves(self) -> "tuple[Part, Part]":
        """Return the part as two of half the times each."""
        middle = len(self.ts) // 2
        return self._slice(slice(0, middle)), self._slice(slice(middle, None))

    def _slice(self, some: slice) -> "Part":
        metrics = {name: cells[some] for name, cells in self.metrics.items()}
        return Part(self.machine, self.ts[some], self.arrived[some], metrics, self.units)


class ReadingsFile:
    """A file that is read while it is taken; `done_bytes` of its `size_bytes` were read."""

    def __init__(self, path: Path, machine: str | None, options: ReadOptions) -> None:
        self.path = path
        self.size_bytes = path.stat().st_size
        self.done_bytes = 0
        self._machine = machine
        self._options = options

    def parts(self) -> Iterator[Part]:
        """Give the readings, some thousand at a time. Raises RecordingError, OSError."""
        with self.path.open("rb") as file:
            try:
                yield from self._parts(file)
            except (pa.ArrowException, RecordingError) as error:
                raise RecordingError(f"{self.path}: {error}") from error
        self.done_bytes = self.size_bytes

    def _parts(self, file: IO[bytes]) -> Iterator[Part]:
        head = file.read(_PROBED_BYTES)
        file.seek(0)
        if head.startswith(b"PAR1"):
            yield from self._parquet(file)
        elif set(_LONG) <= set(head.split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip().split(",")):
            convert = pa_csv.ConvertOptions(column_types=_TYPES, null_values=[""], strings_can_be_null=False)
            reading = pa_csv.ReadOptions(block_size=_BLOCK_BYTES)
            with pa_csv.open_csv(file, read_options=reading, convert_options=convert) as batches:
                yield from self._long(self._counted(batches, file))
        else:
            yield from self._wide_csv(file)

    def _counted(self, batches: Iterable[pa.RecordBatch], file: IO[bytes]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            with suppress(ValueError):  # it is closed behind the last
                self.done_bytes = min(file.tell(), self.size_bytes)
            yield batch

    def _parquet(self, file: IO[bytes]) -> Iterator[Part]:
        opened = pq.ParquetFile(file)
        names = opened.schema_arrow.names
        long = set(_LONG) <= set(names)
        columns = [name for name in _TYPES if name in names] if long else names
        rows = READINGS_AT_ONCE if long else max(1, READINGS_AT_ONCE // max(1, len(names) - 1))

        def batches() -> Iterator[pa.RecordBatch]:
            seen = 0
            for batch in opened.iter_batches(batch_size=rows, columns=columns):
                seen += batch.num_rows
                self.done_bytes = self.size_bytes * seen // max(1, opened.metadata.num_rows)
                yield batch

        yield from self._long(batches()) if long else self._wide_parquet(opened.schema_arrow, batches())

    def _long(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Part]:
        for batch in batches:
            for at in range(0, batch.num_rows, READINGS_AT_ONCE):
                yield from self._long_parts(batch.slice(at, READINGS_AT_ONCE))

    def _long_parts(self, batch: pa.RecordBatch) -> Iterator[Part]:
        texts = [batch.column(name).cast(pa.string()).to_pylist() for name in ("machine", "metric")]
        has_unit, has_arrived = "unit" in batch.schema.names, "arrived" in batch.schema.names
        units = batch.column("unit").cast(pa.string()).to_pylist() if has_unit else [""] * batch.num_rows
        arrived = _time_texts(batch.column("arrived")) if has_arrived else [None] * batch.num_rows
        times = _time_texts(batch.column("ts"))
        values = batch.column("value").cast(pa.float64()).to_pylist()
        parts: dict[str, _Gathered] = {}
        for machine, metric, unit, ts, came, value in zip(*texts, units, times, arrived, values, strict=True):
            if value is None or ts is None:
                continue
            name = self._machine or machine or ""
            into = parts.get(name) or parts.setdefault(name, _Gathered(Part(name)))
            into.add(metric or "", unit or "", ts, came, value)
        return (one.part for one in parts.values())

    def _wide_parquet(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[Part]:
        machine = self._required_machine()
        asked = self._options.time_column
        times = [one.name for one in schema if pa.types.is_timestamp(one.type)]
        if asked is not None and asked not in schema.names:
            raise RecordingError(f"--time-column: there is no column {asked!a}; there are {schema.names}")
        if asked is None and not times:
            raise RecordingError(f"no column holds times; there are {', '.join(schema.names)}")
        time = asked or times[0]
        kept = [
            at
            for at, one in enumerate(schema)
            if one.name != time and one.name not in self._options.skip and _is_number(one.type)
        ]
        named = name_columns(schema.names, kept, self._options.units, self._options.renames)
        for batch in batches:
            part = _empty_part(machine, named)
            part.ts = [text or "" for text in _time_texts(batch.column(time))]
            part.arrived = [None] * len(part.ts)
            for at, (metric, _) in zip(kept, named, strict=True):
                part.metrics[metric] = [
                    None if value != value else value  # noqa: PLR0124  NaN is none
                    for value in batch.column(at).cast(pa.float64()).to_pylist()
                ]
            yield part

    def _wide_csv(self, file: IO[bytes]) -> Iterator[Part]:
        machine = self._required_machine()
        text = io.TextIOWrapper(file, encoding=_encoding(file), errors="replace", newline="")
        try:
            yield from self._wide_lines(machine, text, file)
        finally:
            text.detach()

    def _wide_lines(self, machine: str, text: io.TextIOWrapper, file: IO[bytes]) -> Iterator[Part]:
        said, probe = said_separator(text.read(_PROBED_BYTES))
        text.seek(0)
        separator = self._options.separator or said or find_separator(probe.lstrip("\n"))
        rows = csv.reader(text, delimiter=separator, strict=True)
        lines = (Line(rows.line_num, cells) for cells in rows if any(cell.strip() for cell in cells))
        places: _Places | None = None
        try:
            if said is not None:
                next(lines, None)
            header = [cell.strip() for cell in next(lines, Line(1, [])).cells]
            at_once = max(1, READINGS_AT_ONCE // max(1, len(header) - 1))
            while body := list(islice(lines, at_once)):
                _check_widths(header, body)
                places = places or self._places(header, body)
                yield self._wide_part(machine, header, body, places)
                self.done_bytes = min(file.tell(), self.size_bytes)
        except csv.Error as error:
            raise RecordingError(f"line {rows.line_num}: {error}") from error

    def _places(self, header: list[str], body: list[Line]) -> "_Places":
        options = self._options
        if options.time_column is None:
            time_at = find_columns(header, body, options.time_format)
        elif (named := named_columns(header, options.time_column)) is not None:
            time_at = named
        else:
            msg = f"--time-column: there is no column {options.time_column!a}; there are {', '.join(header)}"
            raise RecordingError(msg)
        kept = [at for at, name in enumerate(header) if at not in time_at and name not in options.skip]
        return _Places(time_at, kept, name_columns(header, kept, options.units, options.renames))

    def _wide_part(self, machine: str, header: list[str], body: list[Line], places: "_Places") -> Part:
        moments = read_times(header, body, places.time_at, self._options.time_format, self._options.zone)
        part = _empty_part(machine, places.named)
        part.ts = [moment.isoformat() for moment in moments]
        part.arrived = [None] * len(part.ts)
        for at, (metric, _) in zip(places.kept, places.named, strict=True):
            cells, is_text = read_cells(header[at], body, at, self._options.decimal)
            if is_text:
                part.left_out[header[at]] = len(cells) - list(cells).count(None)
            else:
                part.metrics[metric] = list(cells)  # type: ignore[arg-type]
        return part

    def _required_machine(self) -> str:
        if self._machine is None:
            msg = "its lines do not name a machine; say whose readings they are: --machine NAME"
            raise RecordingError(msg)
        return self._machine


class _Places(NamedTuple):
    """Where the times of a wide file stand, where the metrics do, and their names and units."""

    time_at: list[int]
    kept: list[int]
    named: list[tuple[str, str]]


class _Gathered:
    """Single readings on their way to be rows."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._row_of: dict[str, int] = {}

    def add(self, metric: str, unit: str, ts: str, arrived: str | None, value: float) -> None:
        part = self.part
        row = self._row_of.get(ts)
        if row is None:
            row = self._row_of[ts] = len(part.ts)
            part.ts.append(ts)
            part.arrived.append(arrived)
            for cells in part.metrics.values():
                cells.append(None)
        cells_or_none = part.metrics.get(metric)
        if cells_or_none is None:
            cells_or_none = part.metrics[metric] = [None] * len(part.ts)
            if unit and (plain := original_text(unit)) != unit_of(metric):
                part.units[metric] = plain
        if cells_or_none[row] is None:
            cells_or_none[row] = value
        else:
            part.doubled += 1


def _empty_part(machine: str, named: Sequence[tuple[str, str]]) -> Part:
    return Part(machine, units={metric: unit for metric, unit in named if unit and unit != unit_of(metric)})


def _time_texts(column: pa.Array) -> list[str | None]:
    times = column.cast(_TIME).cast(pa.int64())
    texts: list[str | None] = rfc3339(times.fill_null(0).to_numpy(zero_copy_only=False)).to_pylist()
    if times.null_count:
        there = pc.is_valid(times).to_pylist()
        return [text if is_there else None for text, is_there in zip(texts, there, strict=True)]
    return texts


def _is_number(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean))


def _check_widths(header: list[str], body: list[Line]) -> None:
    for line in body:
        if len(line.cells) != len(header):
            msg = f"line {line.number} has {len(line.cells)} columns where the header has {len(header)}"
            raise RecordingError(f"{msg}; if the separator was not found right, give --separator")


def _encoding(file: IO[bytes]) -> str:
    """Return UTF-8 where the whole file is, else Windows-1252."""
    found = "utf-8-sig"
    check = codecs.getincrementaldecoder("utf-8")()
    try:
        while block := file.read(_BLOCK_BYTES):
            check.decode(block)
        check.decode(b"", final=True)
    except UnicodeDecodeError:
        found = "cp1252"
    file.seek(0)
    return found
