"""Readings handed in over HTTP and from files: by the rules of telemetry, however old, and safely twice."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.broker import PrivateBroker, open_folder
from fixtures.gateway import CLI_TOKEN, RunningGateway, is_problem
from fixtures.postgres import PrivatePostgres
from fixtures.product import until

from broker.telemetry import Row
from gateway.store import Batch

LONG_AGO = "2003-07-01T10:00:0{}Z"


def post(gateway: RunningGateway, body: Any) -> dict[str, Any]:
    answer = gateway.client(CLI_TOKEN).post("import", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    found: dict[str, Any] = answer.json()
    return found


def counts(answer: dict[str, Any]) -> tuple[int, int, int]:
    return answer["stored"], answer["doubled"], answer["refused"]


def exported(gateway: RunningGateway, **query: Any) -> list[str]:
    answer = gateway.client(CLI_TOKEN).get("export", params=query)
    assert answer.status_code == httpx.codes.OK, answer.text
    return [",".join(line.split(",")[:5]) for line in answer.text.splitlines()[1:]]


def test_readings_of_any_age_are_stored_and_the_same_again_change_nothing(gateway: RunningGateway) -> None:
    body = {
        "machine": "old-1",
        "ts": [LONG_AGO.format(0), LONG_AGO.format(1), 1057053602.5],
        "metrics": {"power_kw": [1, 2.5, None], "temp_c": [None, None, -3]},
    }
    assert counts(post(gateway, body)) == (3, 0, 0)
    assert counts(post(gateway, body)) == (0, 3, 0)
    assert exported(gateway, machine="old-1") == [
        "old-1,power_kw,kW,2003-07-01T10:00:00.000Z,1",
        "old-1,power_kw,kW,2003-07-01T10:00:01.000Z,2.5",
        "old-1,temp_c,°C,2003-07-01T10:00:02.500Z,-3",
    ]


def test_several_machines_may_come_at_once_with_units_and_times_of_arrival(gateway: RunningGateway) -> None:
    one = {"ts": [LONG_AGO.format(0)], "metrics": {"flow": [7]}, "arrived": ["2003-07-01T10:00:09.5Z"]}
    body = [{"machine": name, **one, "units": {"flow": "bbl/d"}} for name in ("old-2", "old-3")]
    assert counts(post(gateway, body)) == (2, 0, 0)

    def lines() -> bool:
        text = gateway.client(CLI_TOKEN).get("export", params={"metric": "flow"}).text
        return text.splitlines()[1:] == [
            f"{name},flow,bbl/d,2003-07-01T10:00:00.000Z,7,2003-07-01T10:00:09.500Z"
            for name in ("old-2", "old-3")
        ]

    until(lines)  # the gateway writes a machine down when it has told the bus of it


def test_what_cannot_be_taken_is_refused_with_a_reason_and_kept_and_the_rest_is_stored(
    gateway: RunningGateway,
) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    answer = post(
        gateway,
        [
            {
                "machine": "bad-1",
                "ts": [LONG_AGO.format(0), "never", "1999-12-31T23:59:59Z", tomorrow, LONG_AGO.format(4)],
                "metrics": {"a": [1, 1, 1, 1, 1e301], "b c": [1, 1, 1, 1, 1], "d": ["x", 1, 1, 1, True]},
            },
            {"machine": "+", "ts": [LONG_AGO.format(0)], "metrics": {"a": [1]}},
        ],
    )
    assert counts(answer) == (2, 0, 11)
    reasons = {(one["machine"], one["reason"], one.get("field")): one["count"] for one in answer["refusals"]}
    assert reasons == {
        ("bad-1", "out_of_range", "a"): 1,
        ("bad-1", "bad_name", "b c"): 5,
        ("bad-1", "not_a_number", "d"): 1,
        ("bad-1", "bad_time", None): 1,
        ("bad-1", "clock", None): 2,
        ("", "bad_topic", None): 1,
    }
    kept = gateway.wait(gateway.gateway.store.rejected(source="bad-1"))
    assert sorted(row.record.reason for row in kept) == [
        "bad_name",
        "bad_time",
        "clock",
        "not_a_number",
        "out_of_range",
    ]
    assert {row.record.topic for row in kept} == {"import"}


def test_the_present_does_not_go_back_in_time_and_health_is_left_alone(gateway: RunningGateway) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    live, past = now - timedelta(seconds=1), now - timedelta(days=500)
    for ts, value in ((live, 10.0), (past, 1.0)):
        assert counts(post(gateway, {"machine": "now-1", "ts": [ts.isoformat()], "metrics": {"a": [value]}}))
    state = gateway.client(CLI_TOKEN).get("machines/now-1").json()
    assert state["latest"]["values"]["a"]["value"] == 10.0
    post(gateway, {"machine": "past-1", "ts": [past.isoformat()], "metrics": {"a": [1]}})
    state = gateway.client(CLI_TOKEN).get("machines/past-1").json()
    assert state["latest"]["values"]["a"]["value"] == 1.0
    assert state["health"]["state"] == "offline"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"{}",
        b'{"machine": "a", "ts": ["x"], "metrics": {"b": []}}',
        b'{"machine": "a", "ts": ["x"], "metrics": {"b": [1]}, "arrived": []}',
        b'{"machine": "a", "ts": ["x"], "metrics": {"b": [1]}, "more": 1}',
        b'{"machine": "\xff", "ts": [], "metrics": {}}',
        b"[" * 50_000,
    ],
)
def test_a_body_of_another_shape_is_a_problem(gateway: RunningGateway, body: bytes) -> None:
    found = is_problem(gateway.client(CLI_TOKEN).post("import", content=body), 422)
    assert "an import is" in found["detail"] or "values where there are" in found["detail"]


def test_only_engineers_may_import(gateway: RunningGateway) -> None:
    body = {"machine": "old-1", "ts": [], "metrics": {}}
    is_problem(gateway.client().post("import", json=body), 401)
    for name in ("anna", "olga"):
        is_problem(gateway.as_user(name).post("import", json=body), 403)
    assert gateway.as_user("bob").post("import", json=body).status_code == httpx.codes.OK


@pytest.fixture(scope="module")
def other(postgres: PrivatePostgres) -> Iterator[RunningGateway]:
    """Another gateway with an empty database of its own."""
    folder = open_folder()
    broker = PrivateBroker(folder)
    broker.start()
    url = postgres.new_database()
    running = RunningGateway(broker, url)
    try:
        running.start()
        yield running
        running.stop()
    finally:
        broker.stop()
        postgres.drop_database(url)
        shutil.rmtree(folder)


def enms_import(gateway: RunningGateway, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    token = folder / "token"
    token.write_text(CLI_TOKEN + "\n")
    command = [sys.executable, "-m", "enms", "import", "--url", gateway.url, "--token-file", str(token)]
    return subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_imported_elsewhere_is_exported_the_same(
    gateway: RunningGateway, other: RunningGateway, tmp_path: Path, form: str
) -> None:
    start = datetime(2026, 5, 4, tzinfo=UTC)
    name = f"round-{form}"
    rows = []
    for number in range(5000):
        ts = start + timedelta(milliseconds=250 * number, microseconds=number % 3)
        metrics = ("power_kw", "odd", "temp_c")[: 1 + number % 3]
        values = (number / 7, number / 7 * -1e9, number / 7 * 1e-9)[: 1 + number % 3]
        rows.append(Row(name, ts, ts + timedelta(milliseconds=number % 11), metrics, values))
    gateway.wait(gateway.gateway.store.write(Batch(rows=rows)))

    def export(one: RunningGateway) -> bytes:
        return one.client(CLI_TOKEN).get("export", params={"machine": name, "format": form}).content

    file = tmp_path / f"readings.{form}"
    file.write_bytes(export(gateway))
    done = enms_import(other, tmp_path, str(file))
    assert done.returncode == 0, done.stderr
    readings = sum(len(row.metrics) for row in rows)
    assert f"{readings} stored, 0 were there already, 0 refused" in done.stderr
    if form == "csv":
        assert export(other) == file.read_bytes()
    else:
        assert pq.read_table(io.BytesIO(export(other))).equals(pq.read_table(file))
    again = enms_import(other, tmp_path, str(file))
    assert f"0 stored, {readings} were there already, 0 refused" in again.stderr


def test_a_loggers_csv_is_imported_with_a_column_a_metric(gateway: RunningGateway, tmp_path: Path) -> None:
    file = tmp_path / "logger.csv"
    lines = ["Zeit;Power (kW);Volume Flow;Mode"]
    lines += [
        f"03.02.2026 10:00:{second:02};{second},5;{'' if second else 'nan'};run" for second in range(60)
    ]
    file.write_text("\n".join(lines), encoding="cp1252")
    done = enms_import(
        gateway,
        tmp_path,
        str(file),
        "--machine",
        "logger-1",
        "--skip",
        "Mode",
        "--time-format",
        "%d.%m.%Y %H:%M:%S",
        "--time-column",
        "Zeit",
    )
    assert done.returncode == 0, done.stderr
    assert "60 stored, 0 were there already, 0 refused" in done.stderr
    found = exported(gateway, machine="logger-1")
    assert found[59] == "logger-1,power,kW,2026-02-03T10:00:59.000Z,59.5"


def test_a_wide_parquet_file_is_imported(gateway: RunningGateway, tmp_path: Path) -> None:
    start = datetime(2026, 2, 3)  # noqa: DTZ001  as most tools write them: without a zone
    table = pa.table(
        {
            "time": pa.array([start, start + timedelta(seconds=1)], pa.timestamp("ns")),
            "power_kw": pa.array([1.5, float("nan")]),
            "pieces_count": pa.array([3, None], pa.int32()),
            "note": ["a", "b"],
        }
    )
    file = tmp_path / "wide.parquet"
    pq.write_table(table, file)
    done = enms_import(gateway, tmp_path, str(file), "--machine", "wide-1")
    assert done.returncode == 0, done.stderr
    assert exported(gateway, machine="wide-1") == [
        "wide-1,pieces_count,pieces,2026-02-03T00:00:00.000Z,3",
        "wide-1,power_kw,kW,2026-02-03T00:00:00.000Z,1.5",
    ]


def test_what_is_refused_or_cannot_be_read_is_told_and_the_code_is_1(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    refused = tmp_path / "refused.csv"
    refused.write_text(
        "machine,metric,ts,value\nok-1,a,2026-01-01T00:00:00Z,1\nok-1,b b,2026-01-01T00:00:00Z,2\n"
    )
    broken = tmp_path / "broken.csv"
    broken.write_text("time,a\n2026-01-01T00:00:00Z,1\n2026-01-01T00:00:01Z\n")
    done = enms_import(gateway, tmp_path, str(broken), str(refused), "--machine", "ok-1")
    assert done.returncode == 1
    assert "line 3 has 1 columns where the header has 2" in done.stderr
    assert "1 stored, 0 were there already, 1 refused" in done.stderr
    assert "bad_name" in done.stderr
    nobody = subprocess.run(
        [sys.executable, "-m", "enms", "import", str(refused), "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert nobody.returncode == 1
    assert "--data-dir" in nobody.stderr


def test_while_the_database_is_away_an_import_waits_and_goes_on(
    gateway: RunningGateway, postgres: PrivatePostgres, tmp_path: Path
) -> None:
    lines = [f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z,{n}" for n in range(3600)]
    file = tmp_path / "long.csv"
    file.write_text("\n".join(["ts,power_kw", *lines]))
    postgres.kill()
    token = tmp_path / "token"
    token.write_text(CLI_TOKEN)
    command = [sys.executable, "-m", "enms", "import", str(file), "--machine", "waits-1"]
    with subprocess.Popen(
        [*command, "--url", gateway.url, "--token-file", str(token)], stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stderr is not None
            first = running.stderr.readline()
        finally:
            postgres.start()
        _, said = running.communicate(timeout=60)
    assert "the database is away" in first
    assert running.returncode == 0, said
    assert "3600 stored" in said


def test_the_openapi_document_says_what_an_import_looks_like(gateway: RunningGateway) -> None:
    document = json.loads(gateway.client().get("openapi.json").text)
    body = document["paths"]["/api/v1/import"]["post"]["requestBody"]
    assert "metrics" in json.dumps(body)
