"""Log-ins, the broker users of tabs, and accounts: who may what, and for how long."""

import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fixtures.gateway import CLI_TOKEN, RunningGateway, is_problem
from fixtures.mqtt_client import V5, PlainClient


@pytest.fixture(autouse=True)
def _attempts_forgotten(gateway: RunningGateway) -> None:
    gateway.gateway.accounts._attempts.by_address.clear()


def tab(gateway: RunningGateway, mqtt: dict[str, Any]) -> PlainClient:
    return PlainClient(
        gateway.broker.ws_port, mqtt["username"], mqtt["password"], version=V5, transport="websockets"
    )


def test_health_and_configuration_need_no_log_in(gateway: RunningGateway) -> None:
    health = gateway.client().get("health")
    assert health.json() == {
        "status": "ok",
        "version": "1.2.3",
        "dependencies": {"database": "ok", "broker": "ok"},
    }
    assert gateway.client().get("config").json() == {
        "version": "1.2.3",
        "root": "enms",
        "mqtt_url": f"ws://127.0.0.1:{gateway.broker.ws_port}/mqtt",
    }


@pytest.mark.parametrize(
    "path", ["machines", "machines/a", "machines/a/history", "anomalies", "rejected", "users"]
)
@pytest.mark.parametrize("token", [None, "wrong", CLI_TOKEN[:-1], CLI_TOKEN + "x"])
def test_nothing_else_is_answered_to_strangers(gateway: RunningGateway, path: str, token: str | None) -> None:
    answer = gateway.client(token).get(path)
    is_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_good_log_in_gives_a_token_a_cookie_and_a_broker_user(gateway: RunningGateway) -> None:
    body = {"username": "anna", "password": gateway.passwords["anna"]}
    answer = gateway.client().post("session", json=body)
    found = answer.json()
    assert (found["username"], found["role"]) == ("anna", "viewer")
    assert set(found["mqtt"]) == {"url", "username", "password", "expires_at"}
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert answer.headers["Cache-Control"] == "no-store"
    assert gateway.client(found["access_token"]).get("machines").json() == {"machines": []}


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("nobody", "wrong"), ("gateway", "x"), ("broker-admin", "x")]
)
def test_a_bad_log_in_tells_nothing(gateway: RunningGateway, name: str, password: str) -> None:
    found = is_problem(gateway.client().post("session", json={"username": name, "password": password}), 401)
    assert found["detail"] == "user name or password is wrong"


def test_the_sixth_attempt_in_a_minute_has_to_wait(gateway: RunningGateway) -> None:
    body = {"username": "anna", "password": "wrong"}
    for _ in range(5):
        is_problem(gateway.client().post("session", json=body), 401)
    answer = gateway.client().post("session", json={**body, "password": gateway.passwords["anna"]})
    is_problem(answer, 429)
    assert 50 <= int(answer.headers["Retry-After"]) <= 60


def test_a_device_does_not_log_in_here(gateway: RunningGateway) -> None:
    body = {"username": "press-7", "password": gateway.passwords["press-7"]}
    assert "MQTT" in is_problem(gateway.client().post("session", json=body), 401)["detail"]


def test_a_closed_account_gets_neither_session_nor_broker_user(gateway: RunningGateway) -> None:
    store = gateway.gateway.store
    gateway.wait(store.set_disabled("olga", disabled=True))
    body = {"username": "olga", "password": gateway.passwords["olga"]}
    is_problem(gateway.client().post("session", json=body), 401)
    assert gateway.wait(store.broker_logins(account="olga")) == []
    gateway.wait(store.set_disabled("olga", disabled=False))
    assert gateway.log_in("olga")["role"] == "operator"


def test_the_cookie_reads_but_writes_only_with_the_header_against_forgery(gateway: RunningGateway) -> None:
    token = gateway.log_in("anna")["access_token"]
    page = gateway.client(Cookie=f"enms_session={token}")
    assert page.get("machines").status_code == 200
    assert "X-EnMS" in is_problem(page.post("session/mqtt"), 403)["detail"]
    is_problem(page.delete("session"), 403)
    assert page.post("session/mqtt", headers={"X-EnMS": "1"}).status_code == 200
    assert page.delete("session", headers={"X-EnMS": "1"}).status_code == 204
    is_problem(page.get("machines"), 401)


def test_a_session_ends_after_its_time(gateway: RunningGateway) -> None:
    client = gateway.as_user("anna")
    accounts = gateway.gateway.accounts
    before, accounts._now = accounts._now, lambda: datetime.now(UTC) + timedelta(hours=13)
    try:
        is_problem(client.get("machines"), 401)
    finally:
        accounts._now = before


@pytest.mark.parametrize("path", ["rejected", "users"])
@pytest.mark.parametrize("name", ["anna", "olga"])
def test_only_an_engineer_sees_refusals_and_accounts(gateway: RunningGateway, path: str, name: str) -> None:
    assert "engineer" in is_problem(gateway.as_user(name).get(path), 403)["detail"]


def test_only_an_engineer_makes_and_removes_accounts(gateway: RunningGateway) -> None:
    viewer = gateway.as_user("anna")
    is_problem(viewer.post("users", json={"name": "eve", "role": "engineer"}), 403)
    is_problem(viewer.delete("users/bob"), 403)
    engineer = gateway.as_user("bob")
    made = engineer.post("users", json={"name": "eve", "role": "viewer"})
    assert made.status_code == 201
    names = {one["name"]: one for one in engineer.get("users").json()["users"]}
    assert "password" not in names["eve"]
    assert engineer.delete("users/eve").status_code == 204
    is_problem(engineer.delete("users/eve"), 409)
    is_problem(
        gateway.client().post("session", json={"username": "eve", "password": made.json()["password"]}), 401
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "a/b", "role": "viewer"}, 409),
        ({"name": "#", "role": "device"}, 409),
        ({"name": "a~b", "role": "viewer"}, 409),
        ({"name": "gateway", "role": "device"}, 409),
        ({"name": "hall-2", "role": "device", "machines": ["a"]}, 409),
        ({"name": "hall-2", "role": "edge", "machines": ["+"]}, 409),
        ({"name": "hall-2", "role": "gateway"}, 422),
        ({"name": "hall-2", "role": "broker-admin"}, 422),
        ({"name": "", "role": "viewer"}, 422),
        ({"name": "hall-2"}, 422),
        ({"name": "hall-2", "role": "viewer", "admin": True}, 422),
    ],
)
def test_an_account_that_cannot_be_is_refused(
    gateway: RunningGateway, body: dict[str, Any], status: int
) -> None:
    is_problem(gateway.client(CLI_TOKEN).post("users", json=body), status)


def test_a_removed_user_is_out_at_once(gateway: RunningGateway) -> None:
    made = gateway.client(CLI_TOKEN).post("users", json={"name": "max", "role": "viewer"}).json()
    gateway.passwords["max"] = made["password"]
    found = gateway.log_in("max")
    page = tab(gateway, found["mqtt"])
    with closing(page):
        assert page.connect()
        assert gateway.client(CLI_TOKEN).delete("users/max").status_code == 204
        assert page.ended.wait(5)
    is_problem(gateway.client(found["access_token"]).get("machines"), 401)


def test_a_tabs_broker_user_reads_over_websocket_and_is_cut_off_at_the_log_out(
    gateway: RunningGateway,
) -> None:
    found = gateway.log_in("anna")
    page, engineer = tab(gateway, found["mqtt"]), gateway.client(found["access_token"])
    with closing(page):
        assert page.connect()
        page.subscribe("enms/service/gateway")
        assert b'"state":"ok"' in page.wait_for("enms/service/gateway")
        assert engineer.delete("session").status_code == 204
        assert page.ended.wait(5)
    again = tab(gateway, found["mqtt"])
    with closing(again):
        assert not again.connect()
    is_problem(engineer.get("machines"), 401)


def test_a_log_out_or_removal_ends_the_session_even_where_the_broker_is_away(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, removed = gateway.as_user("anna"), gateway.as_user("olga")
    monkeypatch.setattr("broker.dynsec.ANSWER_S", 0.2)
    gateway.broker.stop()
    try:
        is_problem(client.delete("session"), 503)
        is_problem(client.get("machines"), 401)
        is_problem(gateway.client(CLI_TOKEN).delete("users/olga"), 503)
        is_problem(removed.get("machines"), 401)
    finally:
        gateway.broker.start()
    gateway.until_healthy()


def test_a_tab_is_cut_off_when_its_time_is_over_unless_it_renews(gateway: RunningGateway) -> None:
    with gateway.logins_last(1.5):
        short, renewing = gateway.log_in("anna"), gateway.log_in("olga")
        client = gateway.client(renewing["access_token"])
        body = {"mqtt_username": renewing["mqtt"]["username"]}
        lost, held = tab(gateway, short["mqtt"]), tab(gateway, renewing["mqtt"])
        with closing(lost), closing(held):
            assert lost.connect()
            assert held.connect()
            deadline = time.monotonic() + 8
            while not lost.ended.wait(0.3):
                assert time.monotonic() < deadline
                answer = client.post("session/renew", json=body)
                assert answer.status_code == 200
            assert not held.ended.is_set()
            assert datetime.fromisoformat(answer.json()["expires_at"]) > datetime.now(UTC)
        late = {"mqtt_username": short["mqtt"]["username"]}
        is_problem(gateway.client(short["access_token"]).post("session/renew", json=late), 401)


def test_a_tab_never_outlives_its_session(gateway: RunningGateway) -> None:
    with gateway.logins_last(100 * 3600):
        found = gateway.log_in("anna")
        body = {"mqtt_username": found["mqtt"]["username"]}
        renewed = gateway.client(found["access_token"]).post("session/renew", json=body).json()
    assert found["mqtt"]["expires_at"] == found["expires_at"]
    assert renewed["expires_at"] == found["expires_at"]


def test_nobody_renews_the_tab_of_another(gateway: RunningGateway) -> None:
    hers = gateway.log_in("olga")["mqtt"]["username"]
    other_session = gateway.log_in("anna")["mqtt"]["username"]
    client = gateway.as_user("anna")
    for name in (hers, other_session, "gateway", "press-7", "a\0b"):
        is_problem(client.post("session/renew", json={"mqtt_username": name}), 401)


def test_a_second_tab_gets_a_broker_user_of_its_own(gateway: RunningGateway) -> None:
    first = gateway.log_in("anna")
    second = gateway.client(first["access_token"]).post("session/mqtt").json()
    gateway.secrets.append(second["mqtt"]["password"])
    assert second["mqtt"]["username"] != first["mqtt"]["username"]
    assert "access_token" not in second


def test_a_service_asks_for_no_tab(gateway: RunningGateway) -> None:
    is_problem(gateway.client(CLI_TOKEN).post("session/mqtt"), 409)
    is_problem(gateway.client(CLI_TOKEN).post("session/renew", json={"mqtt_username": "anna~1"}), 401)


@pytest.mark.parametrize(
    "name", ["a\0b", "'; DROP TABLE account; --", "anna' OR '1'='1", "é", "\U0001f600" * 60]
)
def test_a_strange_name_is_just_a_wrong_log_in(gateway: RunningGateway, name: str) -> None:
    is_problem(gateway.client().post("session", json={"username": name, "password": "x"}), 401)


def test_who_did_what_is_written_down(gateway: RunningGateway) -> None:
    began = datetime.now(UTC)
    client = gateway.as_user("bob")
    client.post("users", json={"name": "ida", "role": "viewer"})
    client.delete("users/ida")
    client.delete("session")
    gateway.client().post("session", json={"username": "bob", "password": "wrong"})
    rows = gateway.wait(gateway.gateway.store.audit(start=began))
    assert [(one.actor, one.action, one.subject) for one in reversed(rows)] == [
        ("bob", "logged in", "127.0.0.1"),
        ("bob", "account added", "ida"),
        ("bob", "account removed", "ida"),
        ("bob", "logged out", "bob"),
        ("bob", "log-in refused", "127.0.0.1"),
    ]


def test_no_secret_is_ever_logged(gateway: RunningGateway) -> None:
    with suppress(KeyError):
        gateway.log_in("anna")
    gateway.client().post("session", json={"username": "anna", "password": "a-wrong-password"})
    gateway.client("a-wrong-token-of-somebody").get("machines")
    assert [line for line in gateway.said if "connected" in line]
    secrets = [*gateway.secrets, "a-wrong-password", "a-wrong-token-of-somebody", "p@ss/w:rd%", "p%40ss"]
    assert [line for line in gateway.said if any(secret in line for secret in secrets)] == []
    assert [line for line in gateway.said if "a request failed" in line] == []
