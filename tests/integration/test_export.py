"""Readings as files, over HTTP from a real database: what they hold, how they break off, what is refused."""

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.gateway import CLI_TOKEN, RunningGateway, is_problem
from fixtures.postgres import PrivatePostgres
from fixtures.product import until
from msgspec.structs import replace

from broker.messages import MetricInfo
from broker.telemetry import Row
from gateway.export import stream
from gateway.http.routes_export import Exports
from gateway.store import Batch, RollerBusyError

T0 = datetime(2026, 3, 4, 12, tzinfo=UTC)
HEADERS = {"Authorization": f"Bearer {CLI_TOKEN}"}


def row(machine: str, seconds: float, **metrics: float) -> Row:
    ts = T0 + timedelta(seconds=seconds)
    return Row(machine, ts, ts + timedelta(milliseconds=5), tuple(metrics), tuple(metrics.values()))


ROWS = [
    row("press-1", 0, power_kw=31.5, temp_c=-0.1),
    row("press-1", 1, temp_c=1e-7),
    row("press-1", 1.000001, power_kw=1e300),
    row("oven-2", 0.25, power_kw=0.1 + 0.2),
    row("oven-2", 3, odd=5.0),
]


@pytest.fixture(scope="module", autouse=True)
def _stored(gateway: RunningGateway) -> None:
    store = gateway.gateway.store
    gateway.wait(store.write(Batch(rows=ROWS)))
    machine = gateway.wait(store.machine("oven-2"))
    assert machine is not None
    units = {"odd": MetricInfo(unit='=HYPERLINK("x"),')}
    gateway.wait(store.save_machine(replace(machine, metrics=units)))


@pytest.fixture
def exports(gateway: RunningGateway) -> Iterator[Exports]:
    found: Exports = gateway.gateway._server.config.app.state.exports  # type: ignore[union-attr]
    before = found.stalled_s
    yield found
    found.stalled_s = before
    until(lambda: found.running == 0)


def export(gateway: RunningGateway, **query: Any) -> httpx.Response:
    answer = gateway.client(CLI_TOKEN).get("export", params=query)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer


def test_csv_has_a_line_for_each_reading_by_machine_time_and_metric(gateway: RunningGateway) -> None:
    answer = export(gateway, machine=["press-1", "oven-2"])
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="enms_machines_raw.csv"'
    assert answer.text.splitlines(keepends=True) == [
        "machine,metric,unit,ts,value,arrived\r\n",
        "oven-2,power_kw,kW,2026-03-04T12:00:00.250Z,0.30000000000000004,2026-03-04T12:00:00.255Z\r\n",
        'oven-2,odd,"\'=HYPERLINK(""x""),",2026-03-04T12:00:03.000Z,5,2026-03-04T12:00:03.005Z\r\n',
        "press-1,power_kw,kW,2026-03-04T12:00:00.000Z,31.5,2026-03-04T12:00:00.005Z\r\n",
        "press-1,temp_c,°C,2026-03-04T12:00:00.000Z,-0.1,2026-03-04T12:00:00.005Z\r\n",
        "press-1,temp_c,°C,2026-03-04T12:00:01.000Z,1e-7,2026-03-04T12:00:01.005Z\r\n",
        "press-1,power_kw,kW,2026-03-04T12:00:01.000001Z,1e+300,2026-03-04T12:00:01.005001Z\r\n",
    ]


@pytest.mark.parametrize("lines", [1, 2, 3, 5])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_where_blocks_end_is_not_seen_in_the_file(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, lines: int, form: str
) -> None:
    query = {"machine": ["press-1", "oven-2"], "format": form}
    whole = export(gateway, **query).content
    monkeypatch.setattr(stream, "BLOCK_LINES", lines)
    assert export(gateway, **query).content == whole


def test_parquet_holds_the_same_as_csv_typed(gateway: RunningGateway) -> None:
    answer = export(gateway, machine=["press-1", "oven-2"], format="parquet")
    assert answer.headers["Content-Disposition"].endswith('raw.parquet"')
    table = pq.read_table(io.BytesIO(answer.content))
    text = pa.string()
    time_us = pa.timestamp("us", tz="UTC")
    assert table.schema.types == [text, text, text, time_us, pa.float64(), time_us]
    lines = export(gateway, machine=["press-1", "oven-2"]).text.splitlines()[1:]
    assert [one["value"] for one in table.to_pylist()] == [float(line.split(",")[-2]) for line in lines]
    first = table.to_pylist()[0]
    assert first["ts"] == T0 + timedelta(seconds=0.25)
    assert first["arrived"] - first["ts"] == timedelta(milliseconds=5)


def test_machine_metric_and_span_narrow_what_is_given(gateway: RunningGateway) -> None:
    def readings(**query: Any) -> list[str]:
        lines = export(gateway, **query).text.splitlines()[1:]
        return [" ".join(line.split(",")[:2]) + " " + line.split(",")[-2] for line in lines]

    assert readings(machine="press-1", metric="temp_c") == ["press-1 temp_c -0.1", "press-1 temp_c 1e-7"]
    assert readings(metric="odd") == ["oven-2 odd 5"]
    start, end = T0 + timedelta(seconds=1), T0 + timedelta(seconds=1, microseconds=1)
    assert readings(machine="press-1", start=start.isoformat(), end=end.isoformat()) == [
        "press-1 temp_c 1e-7"
    ]
    assert readings(start="2001-01-01T00:00:00Z", end="2001-01-02T00:00:00Z") == []


def test_buckets_are_given_once_they_are_whole(gateway: RunningGateway) -> None:
    head = "machine,metric,unit,ts,count,min,mean,max,last,energy_kwh"

    def lines(width: str = "1m") -> list[str]:
        with suppress(RollerBusyError):  # the gateway does it by itself, too
            gateway.wait(gateway.gateway.store.roll_up(datetime.now(UTC)))
        text = export(gateway, machine="press-1", metric="temp_c", width=width).text
        assert text.startswith(head)
        return text.splitlines()[1:]

    until(lines, 20)
    assert lines() == ["press-1,temp_c,°C,2026-03-04T12:00:00.000Z,2,-0.1,-0.04999995,1e-7,1e-7,"]
    answer = export(gateway, machine="press-1", metric="temp_c", width="1m", format="parquet")
    (bucket,) = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    assert (bucket["count"], bucket["max"], bucket["energy_kwh"]) == (2, 1e-7, None)
    for width in ("15m", "1h", "1d"):
        until(
            lambda width=width: len(export(gateway, metric="temp_c", width=width).text.splitlines()) == 2, 20
        )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"machine": "nobody"}, 404),
        ({"machine": "press-1", "metric": "nothing"}, 404),
        ({"format": "xlsx"}, 422),
        ({"width": "2m"}, 422),
        ({"start": "2026-01-01"}, 422),
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, 422),
        ({"start": "1999-01-01T00:00:00Z"}, 422),
        ({"machine": ["x"] * 1001}, 422),
        ({"machine": "a\0b"}, 422),
    ],
)
def test_a_bad_question_is_a_problem_before_the_first_byte(
    gateway: RunningGateway, query: dict[str, Any], status: int
) -> None:
    is_problem(gateway.client(CLI_TOKEN).get("export", params=query), status)


def test_whoever_may_read_history_may_export_it_and_it_is_written_down(gateway: RunningGateway) -> None:
    is_problem(gateway.client().get("export"), 401)
    answer = gateway.as_user("anna").get("export", params={"machine": "press-1", "metric": "temp_c"})
    assert answer.status_code == httpx.codes.OK
    entry = gateway.wait(gateway.gateway.store.audit(limit=1))[0]
    assert (entry.actor, entry.action, entry.details["machines"]) == ("anna", "export", "press-1")
    assert entry.details["metrics"] == "temp_c"


@pytest.fixture
def large(gateway: RunningGateway) -> None:
    """More than the buffers between the gateway and a reader hold: 400,000 readings, 20 MB."""
    values = tuple(f"m{number}" for number in range(20))
    for start in range(0, 20_000, 2000):
        rows = [
            row("large", second, **dict.fromkeys(values, second + 0.123456789))
            for second in range(start, start + 2000)
        ]
        gateway.wait(gateway.gateway.store.write(Batch(rows=rows)))


def slow_reader(gateway: RunningGateway) -> Any:
    url = f"{gateway.url}/api/v1/export?machine=large"
    return httpx.stream("GET", url, headers=HEADERS, trust_env=False, timeout=20)


@pytest.mark.usefixtures("large")
def test_a_third_export_has_to_wait_until_one_is_over_or_its_reader_is_gone(
    gateway: RunningGateway, exports: Exports
) -> None:
    with slow_reader(gateway), slow_reader(gateway):
        answer = gateway.client(CLI_TOKEN).get("export")
        is_problem(answer, 503)
        assert answer.headers["Retry-After"] == "10"
    until(lambda: exports.running == 0)
    assert export(gateway, machine="press-1").text


@pytest.mark.usefixtures("large")
def test_a_reader_who_takes_nothing_for_long_is_cut_off_and_sees_it(
    gateway: RunningGateway, exports: Exports
) -> None:
    exports.stalled_s = 0.3
    connections = gateway.gateway._server.server_state.connections
    before = len(connections)
    with slow_reader(gateway) as answer:
        assert len(connections) == before + 1
        until(lambda: exports.running == 0)
        until(lambda: len(connections) == before)
        with pytest.raises(httpx.TransportError):
            answer.read()
    assert any("an answer was cut off" in line for line in gateway.said)


@pytest.mark.usefixtures("large", "exports")
def test_an_export_whose_database_goes_away_breaks_off_and_does_not_end(
    gateway: RunningGateway, postgres: PrivatePostgres
) -> None:
    with slow_reader(gateway) as answer:
        pieces = answer.iter_raw(64 * 1024)
        assert next(pieces)
        postgres.kill()
        try:
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                list(pieces)
        finally:
            postgres.start()
    gateway.until_healthy()


def test_arrow_is_loaded_by_none_who_does_not_export() -> None:
    code = "import sys, gateway.service, gateway.worker; sys.exit('pyarrow' in sys.modules)"
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
    print(f"loaded in {time.monotonic() - began:.1f} s")
