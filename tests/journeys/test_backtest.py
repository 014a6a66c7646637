"""A day scored live, scored again over HTTP, and a machine somebody works on."""

import json
import random
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fixtures.broker import open_folder
from fixtures.product import Product, running, until

PAST_ROWS = 500
LIVE_ROWS = 260
FAULT = range(120, 190)
MACHINE = "pump-1"


def row(number: int, begin: datetime, *, fault: bool = False) -> dict[str, Any]:
    """A pump whose load swings; in the fault it draws more than its current and its flow explain."""
    noise = random.Random(number)  # noqa: S311  noise, not a secret
    load = 0.5 + 0.3 * (number // 37 % 2) + 0.02 * noise.gauss(0, 1)
    return {
        "ts": (begin + timedelta(seconds=number)).isoformat(),
        "current_a": round(70.0 * load + 0.3 * noise.gauss(0, 1), 3),
        "flow_m3h": round(90.0 * load + 0.4 * noise.gauss(0, 1), 3),
        "temperature_c": round(45.0 + 10.0 * load + 0.2 * noise.gauss(0, 1), 3),
        "power_kw": round(40.0 * load + 0.2 * noise.gauss(0, 1) + (9.0 if fault else 0.0), 3),
    }


@pytest.fixture(scope="module")
def live() -> Any:
    """The running product after a machine was learnt and had a fault; with what was heard of it."""
    begin = (datetime.now(UTC) - timedelta(seconds=PAST_ROWS + LIVE_ROWS + 60)).replace(microsecond=0)
    folder = open_folder()
    with running(folder, ENMS_ENERGY_PRICE="0.25") as product:
        product.user("line", "edge")
        product.user("anna", "viewer")
        product.user("bob", "engineer")
        past = [row(number, begin) for number in range(PAST_ROWS)]
        product.publish("line", f"enms/telemetry/{MACHINE}", json.dumps(past))
        until(lambda: product.heard("anna", f"enms/model/{MACHINE}/+", 1), 60)
        heard: list[tuple[str, str]] = []
        listener = threading.Thread(
            target=lambda: heard.extend(product.heard("anna", f"enms/anomaly/{MACHINE}", 12))
        )
        listener.start()
        time.sleep(1.0)  # mosquitto_sub does not say when it listens
        first = PAST_ROWS
        for number in range(first, first + LIVE_ROWS, 20):
            several = [row(n, begin, fault=n - first in FAULT) for n in range(number, number + 20)]
            product.publish("line", f"enms/telemetry/{MACHINE}", json.dumps(several))
        listener.join()
        start, end = begin + timedelta(seconds=first), begin + timedelta(seconds=first + LIVE_ROWS)
        yield product, start, end, [json.loads(payload) for _, payload in heard]
    shutil.rmtree(folder, ignore_errors=True)


def without(event: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}


def detect(product: Product, **order: Any) -> httpx.Response:
    token = (product.data / "secrets" / "token-cli").read_text()
    return httpx.post(
        f"{product.url}/api/v1/anomaly/detect",
        json={"machine_id": MACHINE} | order,
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=120,
    )


def test_a_back_test_says_what_live_scoring_said(live: Any) -> None:
    product, start, end, heard = live
    answer = detect(product, start=start.isoformat(), end=end.isoformat())
    assert answer.status_code == httpx.codes.OK, answer.text
    found = answer.json()
    assert found["rows"] == LIVE_ROWS
    last = {event["anomaly_id"]: event for event in heard}
    assert last, "live scoring found nothing"
    again = {event["anomaly_id"]: event for event in found["episodes"]}
    changing = {"published_at"}
    assert {id_: without(event, changing) for id_, event in again.items()} == {
        id_: without(event, changing) for id_, event in last.items()
    }
    assert len(last) == 1, "one fault, one episode"
    (event,) = last.values()
    assert event["metric"] == "power_kw"
    assert event["phase"] == "closed"
    assert event["anomaly_type"] == "level_shift", "it closes as what it was"
    assert event["value"] > event["high"]
    assert event["cost"] == pytest.approx(0.25 * event["excess_kwh"], rel=1e-3)
    opened = datetime.fromisoformat(event["started_at"])
    assert start + timedelta(seconds=FAULT.start) <= opened <= start + timedelta(seconds=FAULT.stop)
    assert max(found["scores"]["score"]) >= 1.0
    assert product.get("anomalies", machine=MACHINE)["anomalies"][0]["anomaly_id"] == event["anomaly_id"]


def test_another_model_can_be_asked(live: Any) -> None:
    product, start, end, _ = live
    answer = detect(product, start=start.isoformat(), end=end.isoformat(), contamination=0.01)
    assert answer.status_code == httpx.codes.OK, answer.text
    assert [model["kind"] for model in answer.json()["models"]] == ["forest"]
    assert answer.json()["published"] == 0
    answer = detect(product, start=start.isoformat(), end=end.isoformat(), use_baseline=True)
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert "baseline" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("order", "status", "words"),
    [
        ({"machine_id": "press-9"}, 404, "press-9"),
        ({"contamination": 0.7}, 422, "contamination"),
        ({"start": "2026-01-01T00:00:00"}, 422, "start"),
        ({"end": "2020-01-01T00:00:00Z"}, 422, "before"),
        ({"contamination": 0.1, "use_baseline": True}, 422, "not both"),
        ({"machine_id": "a/b"}, 422, ""),
    ],
)
def test_what_cannot_be_back_tested_is_refused_in_words(
    live: Any, order: dict[str, Any], status: int, words: str
) -> None:
    product, start, end, _ = live
    answer = detect(product, **{"start": start.isoformat(), "end": end.isoformat()} | order)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_the_kind_of_a_model_can_be_ordered_and_left_to_the_data_again(live: Any) -> None:
    product, *_ = live
    for kind, why in (("forest", "asked for"), ("", "compared with each other")):
        order = json.dumps({"id": f"kind-{kind}", "args": {"machine": MACHINE, "kind": kind}})
        product.publish("bob", "enms/command/bob/detector/model", order)
        card = until(lambda: next((one for one in cards(product) if why in one["why"]), None), 60)  # noqa: B023
        assert (card["kind"] == "forest") == (kind == "forest")


def cards(product: Product) -> list[dict[str, Any]]:
    return [json.loads(payload) for _, payload in product.heard("anna", f"enms/model/{MACHINE}/+", 1)]


def test_nothing_opens_while_somebody_works_on_the_machine(live: Any) -> None:
    product, *_ = live
    order = json.dumps({"id": "1", "args": {"machine": MACHINE, "on": True}})
    heard: list[tuple[str, str]] = []
    listener = threading.Thread(
        target=lambda: heard.extend(product.heard("anna", "enms/#", 6, "-T", "enms/telemetry/#"))
    )
    listener.start()
    time.sleep(1.0)  # mosquitto_sub does not say when it listens
    product.publish("bob", "enms/command/bob/detector/maintain", order)
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=50)
    rows = [row(number, begin, fault=True) for number in range(45)]
    time.sleep(0.5)  # the order and the rows go different ways
    product.publish("line", f"enms/telemetry/{MACHINE}", json.dumps(rows))
    listener.join()
    assert not [topic for topic, _ in heard if topic.startswith("enms/anomaly/")]
    states = [json.loads(p)["operating_state"] for t, p in heard if t == f"enms/expected/{MACHINE}"]
    assert states[-1] == "maintenance", states
