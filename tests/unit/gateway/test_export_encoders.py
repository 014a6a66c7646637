"""Blocks into files: every line as it should be written, whatever the numbers, times and units are."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.export import encoders
from gateway.export.asked import Form
from gateway.export.block import RAW, ROLLED, Block, Label, original_text, plain_text

LABEL = Label("press-7", "power_kw", "kW")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES_US = st.integers(946_684_800_000_000, 7_258_118_400_000_000)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def raw(lines: Sequence[tuple[int, float]], label: Label = LABEL) -> Block:
    columns: dict[str, Any] = {
        "ts": np.array([ts_us for ts_us, _ in lines], np.int64),
        "value": np.array([value for _, value in lines], np.float64),
        "arrived": np.array([ts_us for ts_us, _ in lines], np.int64),
    }
    return Block((label,), np.zeros(len(lines), np.int32), columns)


def encoded(form: Form, *blocks: Block) -> bytes:
    encoder = encoders.encoder(form, RAW)
    return b"".join([*(encoder.add(block) for block in blocks), encoder.end()])


def csv_lines(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


@settings(deadline=None)
@given(st.lists(st.tuples(TIMES_US, FINITE), min_size=1, max_size=50))
def test_times_and_numbers_of_a_csv_read_back_as_they_were(lines: list[tuple[int, float]]) -> None:
    head, *rest = csv_lines(encoded(Form.CSV, raw(lines)))
    assert head == ["machine", "metric", "unit", "ts", "value", "arrived"]
    back = [
        ((datetime.fromisoformat(cells[3]) - EPOCH) // timedelta(microseconds=1), float(cells[4]))
        for cells in rest
    ]
    assert back == lines
    assert all(cells[3].endswith("Z") and len(cells[3]) in {24, 27} for cells in rest)


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=10), st.text("=+-@'\",;é", max_size=6)
)
def test_a_unit_is_text_for_a_spreadsheet_and_reads_back(one: str, other: str) -> None:
    for unit in (one, other):
        block = raw([(0, 1.0)], Label("press-7", "power_kw", unit))
        ((_, _, cell, *_),) = csv_lines(encoded(Form.CSV, block))[1:]
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert cell == plain_text(unit)
        if not unit.startswith("'"):
            assert original_text(cell) == unit


@pytest.mark.parametrize("form", Form)
def test_a_file_of_nothing_is_whole(form: Form) -> None:
    data = encoded(form)
    if form is Form.CSV:
        assert data == b"machine,metric,unit,ts,value,arrived\r\n"
    else:
        assert pq.read_table(io.BytesIO(data)).num_rows == 0


def test_parquet_has_row_groups_of_one_size_however_blocks_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "GROUP_ROWS", 10)
    lines = [(number * 1_000_001, number / 3) for number in range(57)]
    blocks = [raw(lines[:3]), raw(lines[3:4]), raw(lines[4:50]), raw(lines[50:])]
    file = pq.ParquetFile(io.BytesIO(encoded(Form.PARQUET, *blocks)))
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == [10, 10, 10, 10, 10, 7]
    table = file.read()
    assert table.column("value").to_pylist() == [value for _, value in lines]
    assert table.column("ts").cast("int64").to_pylist() == [ts_us for ts_us, _ in lines]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_parquet_gives_out_what_is_full_and_keeps_no_more_than_a_group() -> None:
    encoder = encoders.encoder(Form.PARQUET, RAW)
    block = raw([(number, float(number)) for number in range(encoders.GROUP_ROWS // 2)])
    sizes = [len(encoder.add(block)) for _ in range(6)]
    assert [size > 100 for size in sizes] == [False, True] * 3


def test_what_there_is_none_of_is_empty_in_a_csv_and_null_in_parquet() -> None:
    columns: dict[str, Any] = {
        name: np.array([np.nan]) for name in ("min", "mean", "max", "last", "energy_kwh")
    }
    columns |= {"ts": np.array([0]), "count": np.array([0])}
    block = Block((LABEL,), np.zeros(1, np.int32), columns)
    lines = encoders.encoder(Form.CSV, ROLLED).add(block).decode().splitlines()
    assert lines[1] == "press-7,power_kw,kW,1970-01-01T00:00:00.000Z,0,,,,,"
    encoder = encoders.encoder(Form.PARQUET, ROLLED)
    (found,) = pq.read_table(io.BytesIO(encoder.add(block) + encoder.end())).to_pylist()
    assert (found["count"], found["mean"], found["energy_kwh"]) == (0, None, None)
