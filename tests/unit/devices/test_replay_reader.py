import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.telemetry import NUMBERING_FIELDS, TIME_FIELDS
from broker.topics import check_level
from devices.replay import ReadOptions, Recording, RecordingError, read_file, read_text
from devices.replay.names import metric_name, safe_name, split_unit

TEST_BED = """datetime;Accelerometer1RMS;Current;Volume Flow RateRMS;anomaly;changepoint
2020-03-09 10:14:33;0.0265878;1.3302;32.0;0.0;0.0
2020-03-09 10:14:34;0.0261697;1.35399;32.0;0.0;0.0
2020-03-09 10:14:37;0.026199;1.54006;32.0;1.0;1.0
"""


def read(text: str, **options: object) -> Recording:
    return read_text(text, "file.csv", ReadOptions(**options))  # type: ignore[arg-type]


def test_a_test_bed_recording_is_read_with_nothing_said() -> None:
    recording = read(TEST_BED, skip=("anomaly", "changepoint"))
    assert [(column.header, column.metric) for column in recording.columns] == [
        ("Accelerometer1RMS", "accelerometer1rms"),
        ("Current", "current"),
        ("Volume Flow RateRMS", "volume_flow_raterms"),
    ]
    assert recording.begins == datetime(2020, 3, 9, 10, 14, 33, tzinfo=UTC)
    assert recording.ends - recording.begins == timedelta(seconds=4)
    assert recording.rows[1].numbers == {
        "accelerometer1rms": 0.0261697,
        "current": 1.35399,
        "volume_flow_raterms": 32.0,
    }
    assert recording.notes == ()


def test_units_come_from_brackets_from_endings_or_by_hand() -> None:
    text = "time,Temperature (degC),Druck [bar],power_kw,Strom\n2026-01-01T00:00:00Z,20,1,2,3\n"
    recording = read(text, units={"Strom": "A"}, renames={"Druck [bar]": "pressure_bar"})
    assert {column.metric: column.unit for column in recording.columns} == {
        "temperature": "°C",
        "pressure_bar": "bar",
        "power_kw": "kW",
        "strom": "A",
    }


def test_a_german_logger_is_read_with_decimal_commas_and_its_dates() -> None:
    text = "Datum;Leistung [kW];Zähler\n31.01.2026 23:59:30;1,5;20\n01.02.2026 00:00:00;;21\n"
    recording = read(text)
    assert recording.rows[0].recorded == datetime(2026, 1, 31, 23, 59, 30, tzinfo=UTC)
    assert recording.rows[0].numbers == {"leistung": 1.5, "zahler": 20}
    assert recording.rows[1].numbers == {"zahler": 21}, "an empty cell is no reading"


def test_a_logger_of_windows_1252_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes("time;Öl (°C)\n2026-01-01 00:00;40,5\n".encode("cp1252"))
    (column,) = read_file(path, ReadOptions()).columns
    assert (column.metric, column.unit) == ("ol", "°C")


@pytest.mark.parametrize(
    ("stamp", "options"),
    [
        ("2026-01-02 03:04:05", {}),
        ("2026-01-02T04:04:05+01:00", {}),
        ("1767323045", {}),
        ("1767323045000", {}),
        ("02.01.2026 03:04:05", {}),
        ("2026/01/02 03:04:05.000", {}),
        ("2026/01/02 03:04:05 AM", {}),
        ("2026/01/02 03:04:05", {}),
        ("01/02/26 03h04m05", {"time_format": "%m/%d/%y %Hh%Mm%S"}),
    ],
)
def test_times_are_read_as_loggers_write_them(stamp: str, options: dict[str, str]) -> None:
    recording = read(f"time;x\n{stamp};1\n", **options)
    assert recording.begins == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("how", [{}, {"time_column": "Date+Time"}], ids=str)
def test_a_date_and_a_time_of_day_in_two_columns_are_one_time(how: dict[str, str]) -> None:
    recording = read("sep=;\nTime;Date;x\n10:14:33;31.01.2026;1\n10:14:34;31.01.2026;2\n", **how)
    assert recording.begins == datetime(2026, 1, 31, 10, 14, 33, tzinfo=UTC)
    assert [column.metric for column in recording.columns] == ["x"]
    assert recording.notes == ()


def test_seconds_from_the_start_are_times_when_said_so() -> None:
    recording = read("Time;x\n0,0;1\n0,5;2\n", time_format="elapsed")
    assert recording.ends - recording.begins == timedelta(seconds=0.5)
    with pytest.raises(RecordingError, match="--time-format elapsed where it counts seconds"):
        read("Time;x\n0,0;1\n0,5;2\n")


def test_day_and_month_are_told_apart_by_all_rows_or_asked_for() -> None:
    clear = read("time;x\n01/02/2026 10:00:00;1\n13/02/2026 10:00:00;1\n")
    assert clear.begins == datetime(2026, 2, 1, 10, tzinfo=UTC)
    with pytest.raises(RecordingError, match=r"cannot be told apart; give --time-format '%d/%m.*' or"):
        read("time;x\n01/02/2026 10:00:00;1\n03/04/2026 10:00:00;1\n")


def test_text_columns_are_states_and_words_for_nothing_are_no_reading() -> None:
    lines = ["x,when,mode", "1,2026-01-01,Weekday", "NaN,2026-01-02,n/a", "3,2026-01-03,Sunday"]
    rows = read("\n".join(lines)).rows
    assert [dict(row.numbers) for row in rows] == [{"x": 1.0}, {}, {"x": 3.0}]
    assert [dict(row.states) for row in rows] == [{"mode": "Weekday"}, {}, {"mode": "Sunday"}]


def test_rows_are_chosen_by_index_and_the_file_keeps_its_end() -> None:
    recording = read(TEST_BED, first=1, last=1)
    assert [row.index for row in recording.rows] == [1]
    assert recording.ends == datetime(2020, 3, 9, 10, 14, 37, tzinfo=UTC)
    assert recording.total_rows == 3


def test_rows_out_of_order_are_sorted_and_said() -> None:
    recording = read("time;x\n2026-01-02;2\n2026-01-01;1\n2026-01-01;9\n")
    assert [row.numbers["x"] for row in recording.rows] == [1, 9, 2]
    assert "sorted" in recording.notes[0]
    assert recording.notes[1].startswith("1 rows have the time of another")


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("", {}, "separator"),
        ("time;x\n", {}, "at least one row"),
        ("time;x\n2026-01-01;1;2\n", {}, r"line 2 has 3 columns where the header has 2; .*--separator"),
        (
            "time;x\n2026-01-01;1\n2026-01-02;2\nyesterday;3\n",
            {},
            "line 4: 'yesterday' in column 'time' is not a time",
        ),
        ("x;time\n1;2026-13-13\n", {}, "no column holds times"),
        ("time;x\nfoo;1\n", {}, "no column holds times; name it by hand: --time-column"),
        ("time;x\nfoo;1\n", {"time_column": "time"}, r"line 2: 'foo' is not .*--time-format"),
        (
            "time;x\n2026-01-01;1\n2026-01-02;1\n2026-01-03;oops\n",
            {},
            r"line 4: 'oops' in column 'x'.*--skip 'x'",
        ),
        ("time;x\n2026-01-01;1,5\n2026-01-02;2.5\n", {}, r"line 2: '1,5' in column 'x'.*--decimal"),
        ("time;x\n2026-01-01;1\n", {"skip": ("y",)}, "--skip: there is no column 'y'; there are time, x"),
        ("time;x\n2026-01-01;1\n", {"skip": ("x",)}, "no column left"),
        ("time;x\n2026-01-01;1\n", {"time_column": "y"}, "--time-column: there is no column 'y'; there are"),
        ("time;x\n2026-01-01;1\n", {"first": 3}, "the file has rows 0 to 0"),
        ("time;x\n2026-01-01;1\n", {"time_format": "%d.%m.%Y"}, "line 2: '2026-01-01' in column 'time'"),
        ('time;x\n2026-01-01;"1\n', {}, "line 2: unexpected end of data"),
    ],
)
def test_an_error_names_the_line_and_the_option(text: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(RecordingError, match=says):
        read(text, **options)


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_text("time;x\n")
    with pytest.raises(RecordingError, match=re.escape(str(path))):
        read_file(path, ReadOptions())


@given(st.lists(st.text(max_size=80), min_size=1, max_size=8))
def test_whatever_the_headers_are_names_are_allowed_on_the_bus_and_differ(headers: list[str]) -> None:
    taken: list[str] = []
    for position, header in enumerate(headers, start=1):
        taken.append(metric_name(split_unit(header)[0], position, taken))
    assert len(set(taken)) == len(headers)
    for name in taken:
        check_level("metric", name)
        assert name not in (*TIME_FIELDS, *NUMBERING_FIELDS)


@given(st.text(max_size=80))
def test_a_safe_name_stays_as_it_is(header: str) -> None:
    assert safe_name(safe_name(header)) == safe_name(header)


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(
    rows=st.lists(st.tuples(st.integers(0, 10**6), finite, finite), min_size=1, max_size=20),
    separator=st.sampled_from([";", "\t", "|"]),
    decimal=st.sampled_from([".", ","]),
)
def test_numbers_and_times_written_are_numbers_and_times_read(
    rows: list[tuple[int, float, float]], separator: str, decimal: str
) -> None:
    base = datetime(2026, 1, 1, tzinfo=UTC)
    lines = [separator.join(["ts", "a_kw", "b"])]
    for seconds, first, second in rows:
        stamp = (base + timedelta(seconds=seconds)).isoformat()
        cells = [f"{number:.6f}".replace(".", decimal) for number in (first, second)]
        lines.append(separator.join([stamp, *cells]))
    recording = read("\n".join(lines))
    expected = sorted(
        ((base + timedelta(seconds=s), round(a, 6), round(b, 6)) for s, a, b in rows), key=lambda row: row[0]
    )
    found = [(row.recorded, row.numbers["a_kw"], row.numbers["b"]) for row in recording.rows]
    assert [row[0] for row in found] == [r[0] for r in expected]
    assert [row[1:] for row in found] == [(pytest.approx(a), pytest.approx(b)) for _, a, b in expected]


@given(st.text(alphabet="ab1290.,:;-\n\t|\"' +T/é\x00", max_size=120))
def test_whatever_the_text_it_is_read_or_refused_with_a_reason(text: str) -> None:
    with suppress(RecordingError):
        assert read("time;x\n" + text).rows


@pytest.mark.recorded
def test_every_recording_of_the_test_bed_is_read_whole() -> None:
    root = os.environ.get("ENMS_TEST_DATA")
    if not root:
        pytest.skip("ENMS_TEST_DATA names no folder: recorded machine data was NOT read")
    files = sorted((Path(root) / "skab").rglob("*.csv"))
    assert files
    for path in files:
        recording = read_file(path, ReadOptions(skip=("anomaly", "changepoint")))
        assert len(recording.columns) == 8
        assert len(recording.rows) == len(path.read_text().splitlines()) - 1
        assert all(len(row.numbers) == 8 for row in recording.rows)
        assert recording.notes == ()
