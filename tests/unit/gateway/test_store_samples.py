"""Rows of a batch as columns, without a database."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.telemetry import Row
from gateway.store.errors import BadRowsError
from gateway.store.packing import COPY_HEAD, COPY_TAIL, EPOCH, microseconds
from gateway.store.samples import AHEAD, Columns, Layout, shape_of

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def unpacked(data: bytes) -> Iterator[tuple[int, int, int, list[float | None]]]:
    """Read what COPY would: machine id, time, arrival, numbers by slot."""
    assert data.startswith(COPY_HEAD)
    assert data.endswith(COPY_TAIL)
    at = len(COPY_HEAD)
    while at < len(data) - len(COPY_TAIL):
        fields, _, machine_id, _, ts, _, arrived, size = struct.unpack_from(">hiiiqiqi", data, at)
        at += struct.calcsize(">hiiiqiqi")
        end = at + size
        dimensions, _, oid, count, first = struct.unpack_from(">iiiii", data, at)
        assert (fields, dimensions, oid, first) == (4, 1, 701, 1)
        at += 20
        values: list[float | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", data, at)
            values.append(None if length < 0 else struct.unpack_from(">d", data, at + 4)[0])
            at += 4 + max(length, 0)
        assert at == end
        yield machine_id, ts, arrived, values


@given(st.lists(st.datetimes(timezones=st.just(UTC)), max_size=20))
def test_times_are_counted_to_the_microsecond(times: list[datetime]) -> None:
    assert microseconds(times).tolist() == [(one - EPOCH) // timedelta(microseconds=1) for one in times]


def test_rows_are_packed_in_order_with_each_number_in_its_slot() -> None:
    rows = [
        Row("b", NOW, NOW, ("x",), (1.0,)),
        Row("a", NOW, NOW, ("y", "x"), (3.0, 2.0)),
        Row("a", NOW - timedelta(microseconds=1), NOW, ("z",), (4.0,)),
        Row("a", NOW, NOW + timedelta(seconds=1), ("x", "z"), (9.0, 5.0)),
        Row("a", NOW, NOW, (), ()),
    ]
    slots = {"x": 1, "y": 2, "z": 4}
    columns = Columns(rows)
    layouts = [
        Layout("ab".index(machine) + 1, shape_of(tuple(slots[one] for one in metrics)))
        for machine, metrics in columns.layout_keys()
    ]
    placed = columns.placed(layouts)
    (now_us,) = microseconds([NOW]).tolist()
    assert list(unpacked(placed.packed())) == [
        (1, now_us - 1, now_us, [None, None, None, 4.0]),
        (1, now_us, now_us, [2.0, 3.0, None, 5.0]),
        (2, now_us, now_us, [1.0]),
    ]
    assert (columns.readings, placed.readings) == (6, 5)


def test_all_rows_that_cannot_be_kept_are_named_at_once() -> None:
    good = Row("a", NOW, NOW, ("x", "y"), (1.0, 2.0))
    bad = [
        Row("a", NOW, NOW, ("x", "y"), (1.0, float("nan"))),
        Row("b", NOW + AHEAD + timedelta(microseconds=1), NOW, ("x",), (1.0,)),
        Row("c", EPOCH - timedelta(microseconds=1), NOW, ("x",), (1.0,)),
        Row("d", NOW - timedelta(days=30, microseconds=1), NOW, ("x",), (1.0,)),
    ]
    edges = [
        Row("e", NOW + AHEAD, NOW, ("x",), (1.0,)),
        Row("e", NOW - timedelta(days=30), NOW, ("x",), (1.0,)),
    ]
    with pytest.raises(BadRowsError, match=r"a x = 1\.0, y = nan at 2026-03-04") as refused:
        Columns([good, *bad, *edges], kept_days=30)
    assert refused.value.rows == tuple(bad)
    assert Columns([good, *edges], kept_days=30).readings == 4


def test_no_rows_are_no_trouble() -> None:
    columns = Columns([])
    assert (columns.readings, columns.mondays(), columns.layout_keys()) == (0, set(), [])
    assert len(columns.placed([])) == 0
