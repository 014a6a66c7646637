"""A newcomer's device, with nothing configured."""

import json
import subprocess
import time
from datetime import UTC, datetime
from typing import Any

from fixtures.product import Product, until


def test_a_new_device_has_a_retained_latest_and_history_with_nothing_configured(product: Product) -> None:
    product.user("press-7", "device")
    product.user("anna", "viewer")
    began = datetime.now(UTC)
    product.publish("press-7", "enms/telemetry/press-7", '{"power_kw": 12.5}')
    product.publish("press-7", "enms/telemetry/press-7/oil_temperature_c", "48.2")
    published = time.monotonic()
    until(lambda: len(series(product)) == 2)
    print(f"both values in history {time.monotonic() - published:.2f} s after the second was published")

    heard = dict(product.heard("anna", "enms/#", 1))
    machine = json.loads(heard["enms/machine/press-7"])
    assert machine["name"] == "press-7"
    assert machine["metrics"] == {"power_kw": {"unit": "kW"}, "oil_temperature_c": {"unit": "°C"}}
    latest = json.loads(heard["enms/latest/press-7"])["values"]
    assert latest["power_kw"]["value"] == 12.5
    assert latest["oil_temperature_c"]["value"] == 48.2
    assert json.loads(heard["enms/health/press-7"])["state"] == "ok"

    assert {one["metric"]: one["mean"] for one in series(product)} == {
        "power_kw": [12.5],
        "oil_temperature_c": [48.2],
    }
    for one in series(product):
        assert began.timestamp() * 1000 - 1 <= one["ts"][0] <= datetime.now(UTC).timestamp() * 1000


def series(product: Product) -> list[dict[str, Any]]:
    history = product.ask("machines/press-7/history")
    return list(history["series"]) if history else []


def test_everything_stops_on_sigterm_with_code_0_and_no_process_left(product: Product) -> None:
    product.user("press-7", "device")
    product.publish("press-7", "enms/telemetry/press-7", '{"power_kw": 1}')
    until(lambda: product.get("machines")["machines"])
    began = time.monotonic()
    assert product.stop() == 0
    assert time.monotonic() - began < 10
    left = subprocess.run(["pgrep", "-f", str(product.data)], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_a_second_start_finds_everything_again(product: Product) -> None:
    product.user("press-7", "device")
    product.user("anna", "viewer")
    product.publish("press-7", "enms/telemetry/press-7", '{"power_kw": 7, "mode": "idle"}')
    until(lambda: product.ask("machines/press-7/history"))
    password = product.admin_password()
    product.stop()
    product.output.unlink()
    product.start()
    assert password in product.said()
    latest = dict(product.heard("anna", "enms/latest/press-7", 2))["enms/latest/press-7"]
    values = json.loads(latest)["values"]
    assert values["power_kw"]["value"] == 7
    assert values["mode"]["value"] == "idle"
