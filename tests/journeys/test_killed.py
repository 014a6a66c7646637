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
    late = []

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
        late.append(time.monotonic() - start - SECONDS)
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
