"""Files of readings, piece by piece: our own form and others', with what is wrong told by its line."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devices.replay import ReadOptions, RecordingError
from enms import import_files
from enms.import_files import Part, ReadingsFile
from enms.imports import BODY_MOST, _bodies

LONG = "machine,metric,unit,ts,value,arrived\n"


def parts(path: Path, text: str, machine: str | None = None, **options: str) -> list[Part]:
    path.write_text(text)
    return list(ReadingsFile(path, machine, ReadOptions(**options)).parts())  # type: ignore[arg-type]


def test_readings_of_one_time_are_put_together_and_the_first_of_two_stands(tmp_path: Path) -> None:
    one, two = "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000001Z"
    lines = [("m,a,kW", one, 1), ("m,b,'=x", one, 2), ("m,a,kW", one, 9), ("n,a,kW", two, 4)]
    lines += [("m,b,'=x", two, 3)]
    text = LONG + "".join(f"{label},{ts},{value},{ts}\n" for label, ts, value in lines)
    first, second = parts(tmp_path / "long.csv", text)
    assert (first.machine, first.ts, first.arrived) == ("m", [one, two], [one, two])
    assert first.metrics == {"a": [1.0, None], "b": [2.0, 3.0]}
    assert first.units == {"a": "kW", "b": "=x"}
    assert (first.doubled, first.readings) == (1, 3)
    assert (second.machine, second.metrics) == ("n", {"a": [4.0]})


def test_a_file_is_read_in_pieces_whose_ends_are_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [(start + timedelta(seconds=number)).isoformat() for number in range(100)]
    text = "time,a,b\n" + "".join(f"{ts},{number},{-number}\n" for number, ts in enumerate(times))
    (whole,) = parts(tmp_path / "wide.csv", text, "m")
    monkeypatch.setattr(import_files, "READINGS_AT_ONCE", 14)
    some = parts(tmp_path / "wide.csv", text, "m")
    assert [len(part.ts) for part in some] == [7] * 14 + [2]
    assert [ts for part in some for ts in part.ts] == whole.ts == times
    for name in ("a", "b"):
        assert [cell for part in some for cell in part.metrics[name]] == whole.metrics[name]


def test_the_line_of_what_cannot_be_read_is_told_however_far_in_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_files, "READINGS_AT_ONCE", 2)
    text = "time,a\n" + "2026-01-01T00:00:00Z,1\n" * 5 + "2026-01-01T00:00:00Z\n"
    with pytest.raises(RecordingError, match="line 7 has 1 columns"):
        parts(tmp_path / "wide.csv", text, "m")


def test_lines_that_name_no_machine_need_one(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="--machine"):
        parts(tmp_path / "wide.csv", "time,a\n2026-01-01T00:00:00Z,1\n")


def test_a_column_of_text_is_counted_and_left_out(tmp_path: Path) -> None:
    (part,) = parts(
        tmp_path / "wide.csv", "time,a,note\n2026-01-01T00:00:00Z,1,x\n2026-01-01T00:00:01Z,2,\n", "m"
    )
    assert (part.metrics, part.left_out) == ({"a": [1.0, 2.0]}, {"note": 1})


def test_no_body_is_larger_than_the_gateway_takes_and_none_is_lost() -> None:
    count = 60_000
    times = [f"2026-01-01T00:00:00.{number:06}Z" for number in range(count)]
    part = Part("m", times, [None] * count, {"a": [float(number) for number in range(count)]})
    bodies = list(_bodies(part))
    assert len(bodies) > 1
    assert max(map(len, bodies)) <= BODY_MOST
    assert sum(body.count(b"2026-01-01") for body in bodies) == count
