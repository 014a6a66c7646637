"""A part that is killed is started again, and no reading is lost or stored twice."""

import json
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

from fixtures.mqtt_client import PlainClient
from fixtures.product import Product, until

RATE = 1000
SECONDS = 6


def test_a_gateway_killed_under_1000_messages_a_second_loses_and_doubles_nothing(product: Product) -> None:
    password = product.user("line", "edge")
    begin = datetime.now(UTC).replace(microsecond=0)
    sent = 0

    def send() -> None:
        nonlocal sent
        client = PlainClient(product.mqtt_port, "line", password)
        client._client.max_inflight_messages_set(2000)
        assert client.connect()
        start = time.monotonic()
        infos = []
        while sent < RATE * SECONDS:
            due = min(int((time.monotonic() - start) * RATE) + 1, RATE * SECONDS)
            while sent < due:
                row = {"ts": (begin + timedelta(milliseconds=sent)).isoformat(), "n_count": sent}
                topic = f"enms/telemetry/m{sent % 50}"
                infos.append(client._client.publish(topic, json.dumps(row), qos=1))
                sent += 1
            time.sleep(0.005)
        for info in infos:
            info.wait_for_publish(30)
        client.close()

    sender = threading.Thread(target=send)
    sender.start()
    for _ in range(3):
        time.sleep(SECONDS / 4)
        os.kill(product.child("gateway"), signal.SIGKILL)
    sender.join()
    assert sent == RATE * SECONDS

    def stored() -> list[float]:
        return [value for number in range(50) for value in values(product, f"m{number}", begin)]

    until(lambda: len(stored()) >= sent, 60)
    assert sorted(stored()) == [float(number) for number in range(sent)]


def test_a_stop_under_load_takes_less_than_10_s_and_keeps_what_was_acknowledged(product: Product) -> None:
    password = product.user("line", "edge")
    begin = datetime.now(UTC).replace(microsecond=0)
    client = PlainClient(product.mqtt_port, "line", password)
    client._client.max_inflight_messages_set(2000)
    assert client.connect()
    stopped = threading.Event()
    infos = []

    def send() -> None:
        while not stopped.is_set():
            number = len(infos)
            row = {"ts": (begin + timedelta(milliseconds=number)).isoformat(), "n_count": number}
            infos.append(client._client.publish("enms/telemetry/m0", json.dumps(row), qos=1))
            time.sleep(0.001)

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(2)
    began = time.monotonic()
    assert product.stop() == 0
    assert time.monotonic() - began < 10
    stopped.set()
    sender.join()
    client.close()
    acknowledged = {
        float(number) for number, info in enumerate(infos) if info.rc == 0 and info.is_published()
    }
    assert len(acknowledged) > 500
    product.output.unlink()
    product.start()
    until(lambda: acknowledged <= set(values(product, "m0", begin)), 30)
    found = values(product, "m0", begin)
    assert len(found) == len(set(found))


def values(product: Product, machine: str, begin: datetime) -> list[float]:
    answer = product.ask(
        f"machines/{machine}/history",
        metric="n_count",
        start=(begin - timedelta(seconds=5)).isoformat(),
        end=(begin + timedelta(hours=1)).isoformat(),
        points=50_000,
    )
    if answer is None:  # the gateway is starting again
        return []
    series = answer["series"][0]
    assert set(series["count"]) == {1}
    return list(series["mean"])
