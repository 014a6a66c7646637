"""The HTTP API against a real broker and a real database: what it answers, and what a bad question gets."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fixtures.gateway import CLI_TOKEN, RunningGateway, is_problem
from fixtures.mqtt_client import PlainClient
from fixtures.postgres import PrivatePostgres
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.messages import Rejected
from gateway.store import Batch, RejectedRow

NASTY = [
    "",
    " ",
    "0",
    "-1",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "9" * 30,
    "9" * 5000,
    "\0",
    "a\0b",
    "'; DROP TABLE reading; --",
    "%' OR 1=1 --",
    "../../etc/passwd",
    "%00",
    "{}",
    "[]",
    "null",
    "\U0001f600",
    "é",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00Z",
    "-9223372036854775809",
    "x" * 64,
    "+",
    "#",
]


@pytest.fixture(autouse=True)
def _attempts_forgotten(gateway: RunningGateway) -> None:
    gateway.gateway.accounts._attempts.by_address.clear()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nothing-here", 404),
        ("GET", "machines/nobody", 404),
        ("GET", "machines/nobody/history", 404),
        ("POST", "health", 405),
        ("GET", "session", 405),
        ("PUT", "users", 405),
        ("GET", "machines/" + "x" * 65, 422),
        ("GET", "anomalies?limit=0", 422),
    ],
)
def test_every_error_is_a_problem_document(
    gateway: RunningGateway, method: str, path: str, status: int
) -> None:
    is_problem(gateway.client(CLI_TOKEN).request(method, path), status)


@pytest.mark.parametrize("path", ["session", "users"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"null",
        b"[]",
        b"[" * 50_000,
        b'{"username": "a\\u0000b", "password": "x", "name": "a", "role": "viewer", "\\ud800": 1}',
        b'{"username": "\\ud800", "password": "x"}',
        b'{"username": "a", "password": "x", "\\ud800": 1}',
        b'{"username": "' + b"a" * 129 + b'", "password": "x"}',
        b'{"username": {"$gt": ""}, "password": 1e999}',
    ],
)
def test_a_body_that_is_not_what_is_asked_for_is_refused(
    gateway: RunningGateway, path: str, body: bytes
) -> None:
    answer = gateway.client(CLI_TOKEN).post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    is_problem(answer, answer.status_code)


def test_a_body_too_large_is_not_read(gateway: RunningGateway) -> None:
    is_problem(gateway.client().post("session", content=b"x" * (1024 * 1024 + 1)), 413)


def test_a_body_whose_length_is_not_told_is_not_read(gateway: RunningGateway) -> None:
    is_problem(gateway.client().post("session", content=iter([b"x" * 100])), 413)


@pytest.mark.parametrize("path", ["machines/{}", "machines/{}/history", "users/{}"])
@pytest.mark.parametrize("text", [*NASTY, "\xff", "%ff%fe", "%ed%a0%80", "%"])
def test_no_machine_name_is_a_fault_of_the_server(gateway: RunningGateway, path: str, text: str) -> None:
    raw = text if text.startswith("%") else quote(text)
    answer = gateway.client(CLI_TOKEN).get(path.format(raw))
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("name", ["metric", "start", "end", "points", "limit", "machine"])
@pytest.mark.parametrize("text", NASTY)
def test_no_parameter_is_a_fault_of_the_server(gateway: RunningGateway, name: str, text: str) -> None:
    for path in ("machines/press-7/history", "anomalies", "rejected"):
        answer = gateway.client(CLI_TOKEN).get(path, params={name: text})
        assert answer.status_code < 500, f"{path} {answer.text}"
        if answer.status_code != 200:
            is_problem(answer, answer.status_code)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["metric", "start", "end", "points", "limit", "machine"]),
        st.one_of(
            st.text(st.characters(exclude_categories=("Cs",))),
            st.integers().map(str),
            st.floats().map(str),
            st.datetimes().map(lambda at: at.isoformat() + "Z"),
        ),
    )
)
def test_no_combination_of_parameters_is_a_fault_of_the_server(
    gateway: RunningGateway, params: dict[str, str]
) -> None:
    for path in ("machines/press-7/history", "anomalies"):
        assert gateway.client(CLI_TOKEN).get(path, params=params).status_code < 500


@pytest.mark.parametrize(
    "host", ["[", "[::1", "[::1]:8000", "a b", "x; script-src *", "é", "a:b:c", "localhost"]
)
@pytest.mark.parametrize("path", ["/", "/api/v1/config"])
def test_no_host_header_breaks_an_answer_or_gets_into_the_policy(
    gateway: RunningGateway, host: str, path: str
) -> None:
    answer = gateway.client().get(f"{gateway.url}{path}", headers={"Host": host.encode()})
    assert answer.status_code in {200, 400} or (path == "/" and answer.status_code == 503)
    assert "*" not in answer.headers.get("Content-Security-Policy", "")


@pytest.mark.parametrize("token", ["é", "\x7f", "a b", "x" * 8000])
def test_no_token_is_a_fault_of_the_server(gateway: RunningGateway, token: str) -> None:
    headers = {"Authorization": b"Bearer " + token.encode()}
    answer = gateway.client().get("machines", headers=headers)
    assert answer.status_code in {400, 401}


def test_the_page_may_talk_to_itself_and_the_broker_alone(gateway: RunningGateway) -> None:
    answer = gateway.client().get(f"{gateway.url}/")
    policy = dict(one.strip().split(" ", 1) for one in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == f"'self' ws://127.0.0.1:{gateway.broker.ws_port}"
    assert policy["frame-ancestors"] == policy["object-src"] == "'none'"
    for name, value in (("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY")):
        assert answer.headers[name] == value
    assert "server" not in answer.headers


def refs(found: Any) -> list[str]:
    if isinstance(found, list):
        return [ref for one in found for ref in refs(one)]
    if isinstance(found, dict):
        own = [found["$ref"]] if isinstance(found.get("$ref"), str) else []
        return own + [ref for one in found.values() for ref in refs(one)]
    return []


def test_the_openapi_document_is_whole(gateway: RunningGateway) -> None:
    document = gateway.client().get("openapi.json").json()
    assert len(refs(document)) > 20
    for ref in refs(document):
        found = document
        for step in ref.removeprefix("#/").split("/"):
            found = found[step]
        assert found
    for path, methods in document["paths"].items():
        assert path.startswith("/api/v1/")
        for operation in methods.values():
            assert operation["description"]
            assert {"200", "201", "204"} & set(operation["responses"])


def until(gateway: RunningGateway, path: str, happened: Any, seconds: float = 5) -> httpx.Response:
    deadline = time.monotonic() + seconds
    while True:
        answer = gateway.client(CLI_TOKEN).get(path)
        if happened(answer):
            return answer
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.02)


def test_a_reading_and_a_refusal_are_seen_over_http(gateway: RunningGateway) -> None:
    with PlainClient(gateway.broker.port, "press-7", gateway.passwords["press-7"]) as device:
        device.publish("enms/telemetry/press-7", '{"power_kw": 31.5, "temperature_c": "hot"}')
    path = "machines/press-7/history"
    found = until(gateway, path, lambda answer: answer.json().get("series")).json()
    assert [(one["metric"], one["mean"]) for one in found["series"]] == [("power_kw", [31.5])]
    state = gateway.client(CLI_TOKEN).get("machines/press-7").json()
    assert state["latest"]["values"]["power_kw"]["value"] == 31.5
    assert state["health"]["rejected"] == 1
    refused = gateway.as_user("bob").get("rejected").json()
    assert [one["rejected"]["field"] for one in refused["rejected"]] == ["temperature_c"]
    metrics = gateway.client(CLI_TOKEN).get("metrics").text
    assert 'enms_rejected_total{reason="not_a_number"} 1.0' in metrics


def test_without_its_database_it_says_so_within_a_second_and_recovers(
    gateway: RunningGateway, postgres: PrivatePostgres
) -> None:
    client = gateway.as_user("bob")
    postgres.kill()
    try:
        for path in ("anomalies", "users", "rejected", "machines/press-7/history"):
            began = time.monotonic()
            answer = client.get(path)
            assert time.monotonic() - began < 1
            is_problem(answer, 503)
            assert answer.headers["Retry-After"] == "5"
        degraded = until(gateway, "health", lambda answer: answer.status_code == 503)
        assert degraded.json()["status"] == "degraded"
        assert degraded.json()["dependencies"]["broker"] == "ok"
        assert degraded.json()["dependencies"]["database"] != "ok"
        body = {"username": "bob", "password": gateway.passwords["bob"]}
        is_problem(gateway.client().post("session", json=body), 503)
    finally:
        postgres.start()
    gateway.until_healthy(5)
    assert client.get("anomalies").status_code == 200


def test_none_of_all_this_was_a_fault(gateway: RunningGateway) -> None:
    gateway.client(CLI_TOKEN).get("machines/%00/history")
    assert gateway.said
    assert [line for line in gateway.said if "a request failed" in line] == []


def test_refusals_are_kept_for_thirty_days_and_then_forgotten(gateway: RunningGateway) -> None:
    now = datetime.now(UTC)
    rows = [
        RejectedRow(
            "tidied",
            Rejected(
                reason="clock", text="t", topic="x", head="h", size_bytes=1, ts=now - timedelta(days=days)
            ),
        )
        for days in (29, 31)
    ]
    store = gateway.gateway.store
    gateway.wait(store.write(Batch(rejected=rows)))
    assert len(gateway.wait(store.rejected(source="tidied"))) == 2
    gateway.wait(gateway.gateway.tidy(now))
    assert gateway.wait(store.rejected(source="tidied")) == rows[:1]
