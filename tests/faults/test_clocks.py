"""Devices with wrong clocks: both times are kept, and nothing is of the future."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from faults.site import Site
from faults.stored_rows import refusals_by_reason, samples
from faults.witness import Listener
from fixtures.mqtt_client import PlainClient
from fixtures.product import until

HOUR = timedelta(hours=1)


def milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def rfc3339(moment: datetime) -> str:
    return moment.isoformat()


def epoch_s(moment: datetime) -> float:
    return round(moment.timestamp(), 3)


def epoch_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


CLOCKS = [
    pytest.param("ahead", HOUR, rfc3339, id="an hour ahead"),
    pytest.param("behind", -HOUR, rfc3339, id="an hour behind"),
    pytest.param("seconds", timedelta(), epoch_s, id="epoch seconds"),
    pytest.param("milliseconds", timedelta(), epoch_ms, id="epoch milliseconds"),
    pytest.param("zone", timedelta(), lambda ts: ts.astimezone().isoformat(), id="an offset"),
]
IMPOSSIBLE = ["1970-01-01T00:00:00Z", "2262-04-11T23:47:16Z", 12, 9223372036.854775, "9999-12-31T23:59:59Z"]


def test_wrong_clocks_are_kept_with_the_time_of_arrival_and_shown_and_impossible_ones_refused(
    site: Site,
) -> None:
    password = site.user("line", "edge")
    with Listener(site) as listener, PlainClient(site.broker.port, "line", password) as line:
        for case in CLOCKS:
            name, off, write = case.values
            check_clock(site, listener, line, str(name), off, write)
        check_a_jump_back(site, listener, line)
        check_impossible(site, listener, line)


def check_clock(site: Site, listener: Listener, line: PlainClient, name: str, off: Any, write: Any) -> None:
    sent = {}
    before = datetime.now(UTC)
    for number in range(5):
        ts = milliseconds(datetime.now(UTC) + off)
        sent[ts] = float(number)
        line.publish(f"enms/telemetry/{name}", json.dumps({"ts": write(ts), "n_count": number}))
        time.sleep(0.02)
    until(lambda: len(samples(site.database_url, name, "n_count")) == len(sent))
    found = samples(site.database_url, name, "n_count")
    assert {ts: value for ts, _, value in found} == sent
    assert all(before <= arrived <= datetime.now(UTC) for _, arrived, _ in found)
    health = until(lambda: listener.last.get(f"health/{name}"))
    assert health["clock_skew_s"] == pytest.approx(off.total_seconds(), abs=5)
    latest = until(lambda: shown(listener, name, 4.0))
    assert datetime.fromisoformat(latest["ts"]) <= datetime.now(UTC)
    print(f"{name}: skew {health['clock_skew_s']} s, latest at {latest['ts']}")


def check_a_jump_back(site: Site, listener: Listener, line: PlainClient) -> None:
    now = milliseconds(datetime.now(UTC))
    times = [now, now - timedelta(minutes=30), now - timedelta(minutes=29), now + timedelta(seconds=1)]
    for number, ts in enumerate(times):
        line.publish("enms/telemetry/jumps", json.dumps({"ts": rfc3339(ts), "n_count": number}))
    until(lambda: len(samples(site.database_url, "jumps", "n_count")) == len(times))
    found = {ts: value for ts, _, value in samples(site.database_url, "jumps", "n_count")}
    assert found == {ts: float(number) for number, ts in enumerate(times)}
    until(lambda: shown(listener, "jumps", 3.0))


def check_impossible(site: Site, listener: Listener, line: PlainClient) -> None:
    line.publish("enms/telemetry/lost-in-time", json.dumps({"n_count": 0}))
    for ts in IMPOSSIBLE:
        line.publish("enms/telemetry/lost-in-time", json.dumps({"ts": ts, "n_count": 1}))
    until(lambda: refusals_by_reason(site.database_url)["clock"] == len(IMPOSSIBLE))
    until(lambda: listener.last.get("rejected/lost-in-time", {}).get("reason") == "clock")
    until(lambda: listener.last.get("health/lost-in-time", {}).get("rejected") == len(IMPOSSIBLE), 15)
    assert [value for _, _, value in samples(site.database_url, "lost-in-time", "n_count")] == [0.0]


def shown(listener: Listener, machine: str, value: float) -> dict[str, Any] | None:
    """Return the machine's value as `latest/…` tells it, once it is this one."""
    found: dict[str, Any] = listener.last.get(f"latest/{machine}", {}).get("values", {}).get("n_count", {})
    return found if found.get("value") == value else None
