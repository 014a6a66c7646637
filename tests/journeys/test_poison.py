"""Bad input is refused with a reason, counted and shown; nothing stops and nothing slows."""

import json
import time

import pytest
from fixtures.mqtt_client import PlainClient
from fixtures.product import Product, until

BAD = [
    pytest.param("press-7", b'{"power_kw": "NaN"}', "not_a_number", id="a text in a number's place"),
    pytest.param("press-7", b"not json", "not_json", id="not JSON"),
    pytest.param("press-7", b"", "empty", id="nothing"),
    pytest.param("press-7", b"[1" + b"," * 1_000_000, "too_large", id="1 MB"),
    pytest.param("press-7", b"[" * 100_000, "too_deep", id="100,000 brackets"),
    pytest.param("press-7", b'{"ts": "1970-01-01T00:00:00Z", "power_kw": 1}', "clock", id="1970"),
    pytest.param("press-7", b'{"ts": "2262-04-11T00:00:00Z", "power_kw": 1}', "clock", id="2262"),
    pytest.param("press 7", b'{"power_kw": 1}', "bad_topic", id="a space in the name"),
    pytest.param("..", b'{"power_kw": 1}', "bad_topic", id="dots for a name"),
    pytest.param("x" * 300, b'{"power_kw": 1}', "bad_topic", id="300 characters"),
    pytest.param("press-7", b'{"power_kw": 1e999}', "not_json", id="1e999"),
    pytest.param("press-7", b'{"mode": "\\ud800"}', "not_json", id="a lone surrogate"),
    pytest.param("press-7", b'{"mode": "a\\u0000b"}', "bad_text", id="NUL in a text"),
]


def test_each_is_recorded_with_its_reason_and_good_messages_go_on(product: Product) -> None:
    product.user("line", "edge")
    product.user("ernie", "engineer")
    with (
        PlainClient(product.mqtt_port, "ernie", product.passwords["ernie"]) as engineer,
        PlainClient(product.mqtt_port, "line", product.passwords["line"]) as line,
    ):
        engineer.subscribe("enms/rejected/#")
        delays: list[float] = []
        for number, case in enumerate(BAD):
            machine, payload, _ = case.values
            line.publish(f"enms/telemetry/{machine}", payload)
            began = time.monotonic()
            line.publish("enms/telemetry/press-7", json.dumps({"good_count": number}))
            until(lambda number=number: last_good(product) == number)
            delays.append(time.monotonic() - began)
        rows = until(lambda: all_rejected(product), 5)
        told = {json.loads(payload)["reason"] for _, payload in engineer.heard(1.5)}
    print(f"the good message behind each was in latest within {max(delays):.2f} s at most")
    wanted = sorted((case.values[2], len(case.values[1])) for case in BAD)
    assert sorted((row["reason"], row["size_bytes"]) for row in rows) == wanted
    assert told == {case.values[2] for case in BAD}
    assert all(row["text"] for row in rows)
    history = product.get("machines/press-7/history", metric="good_count")["series"][0]
    assert history["mean"] == list(range(len(BAD)))


def last_good(product: Product) -> float | None:
    machines = {one["machine"] for one in product.get("machines")["machines"]}
    if "press-7" not in machines:
        return None
    value = product.get("machines/press-7")["latest"]["values"].get("good_count")
    return value and value["value"]


def all_rejected(product: Product) -> list[dict[str, object]]:
    rows = [one["rejected"] for one in product.get("rejected", limit=1000)["rejected"]]
    return rows if len(rows) == len(BAD) else []


def test_what_cannot_be_a_machine_is_refused_at_onboarding_too(product: Product) -> None:
    for name in ("press 7", "..", "x" * 65, "+", "#", "$SYS", "a/b", "gateway-ingest"):
        with pytest.raises(AssertionError, match=r"is not allowed|at most 64|our own services"):
            product.user(name, "device")
