"""Blocks into the bytes of CSV or Parquet. Loaded by whoever exports, for it loads Arrow."""

import csv
import io
from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gateway.export.asked import Form
from gateway.export.block import Block, Kind, Label, plain_text

GROUP_ROWS: Final = 100_000
_LABELS: Final = ("machine", "metric", "unit")
_TYPES: Final = {Kind.TIME: pa.timestamp("us", tz="UTC"), Kind.NUMBER: pa.float64(), Kind.COUNT: pa.int64()}


class Encoder(Protocol):
    """Makes a file of blocks: `add` each in order, then `end`; what they return is the file."""

    def add(self, block: Block) -> bytes:
        """Return what of the file is ready; may be empty."""

    def end(self) -> bytes:
        """Return the rest of the file."""


def encoder(form: Form, columns: Mapping[str, Kind]) -> Encoder:
    """Return an encoder for blocks with these columns."""
    return Csv(columns) if form is Form.CSV else Parquet(columns)


class Csv:
    """RFC 4180, with a line of headers; times are RFC 3339 UTC, numbers the shortest that read back equal."""

    def __init__(self, columns: Mapping[str, Kind]) -> None:
        self._columns = columns
        self._head = ",".join((*_LABELS, *columns)).encode() + b"\r\n"

    def add(self, block: Block) -> bytes:
        """Return the block's lines, the headers before the first."""
        head, self._head = self._head, b""
        if not len(block.label):
            return head
        starts = pa.array([_start_of_line(label) for label in block.labels], pa.string())
        cells = [starts.take(pa.array(block.label))]
        for name, kind in self._columns.items():
            cells += [_texts(block.columns[name], kind), ","]
        cells[-1] = "\r\n"
        lines = pc.binary_join_element_wise(*cells, "")
        # The lines stand one after the other in the array's own memory.
        text: bytes = lines.buffers()[2].to_pybytes()
        return head + text

    def end(self) -> bytes:
        """Return the headers where there was no block."""
        head, self._head = self._head, b""
        return head


class Parquet:
    """Row groups of 100,000 lines; times in microseconds, UTC; compressed."""

    def __init__(self, columns: Mapping[str, Kind]) -> None:
        self._columns = columns
        self._schema = pa.schema(
            [pa.field(name, pa.string()) for name in _LABELS]
            + [pa.field(name, _TYPES[kind]) for name, kind in columns.items()]
        )
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._ready = _Ready()
        compression = "zstd" if pa.Codec.is_available("zstd") else "snappy"
        self._writer = pq.ParquetWriter(
            self._ready, self._schema, compression=compression, use_dictionary=[*_LABELS, "count"]
        )

    def add(self, block: Block) -> bytes:
        """Return the row groups that are full."""
        texts = [
            pa.array([getattr(label, name) for label in block.labels], pa.string()).take(
                pa.array(block.label)
            )
            for name in _LABELS
        ]
        rest = [_typed(block.columns[name], kind) for name, kind in self._columns.items()]
        self._waiting.append(pa.record_batch([*texts, *rest], schema=self._schema))
        self._rows += len(block.label)
        while self._rows >= GROUP_ROWS:
            self._write(GROUP_ROWS)
        return self._ready.taken()

    def end(self) -> bytes:
        """Return the last row group and the footer, without which the file is not one."""
        if self._rows:
            self._write(self._rows)
        self._writer.close()
        return self._ready.taken()

    def _write(self, rows: int) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._writer.write_table(table.slice(0, rows), row_group_size=rows)
        rest = table.slice(rows)
        self._waiting, self._rows = rest.to_batches(), rest.num_rows


class _Ready(io.RawIOBase):
    """A file that is taken away as it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _start_of_line(label: Label) -> str:
    line = io.StringIO()
    cells = [plain_text(text) for text in (label.machine, label.metric, label.unit)]
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue() + ","


def _typed(values: npt.NDArray[np.generic], kind: Kind) -> pa.Array:
    # NaN says that there is none, which is not what it says in a file.
    return pa.array(values, _TYPES[kind], from_pandas=kind is Kind.NUMBER)


def _texts(values: npt.NDArray[np.generic], kind: Kind) -> pa.Array:
    if kind is Kind.TIME:
        return rfc3339(values.astype(np.int64))
    return pc.fill_null(pc.cast(_typed(values, kind), pa.string()), "")


def rfc3339(times_us: npt.NDArray[np.int64]) -> pa.Array:
    """Return RFC 3339 in UTC, with milliseconds, or microseconds where there are any."""
    fine = pa.array(times_us % 1000 != 0)
    texts = pc.cast(pa.array(times_us // 1000).cast(pa.timestamp("ms")), pa.string())
    if pc.any(fine).as_py():
        texts = pc.if_else(fine, pc.cast(pa.array(times_us).cast(pa.timestamp("us")), pa.string()), texts)
    return pc.binary_join_element_wise(pc.binary_replace_slice(texts, 10, 11, "T"), "Z", "")
