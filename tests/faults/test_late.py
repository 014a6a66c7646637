"""Data that comes a day late, doubled and shuffled: the same history as in order, and no alarm of it."""

import json
import math
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from faults.long import figure
from fixtures.mqtt_client import PlainClient
from fixtures.product import Product, running, until

LATE = timedelta(hours=24)
SPAN = figure(timedelta(hours=6), timedelta(hours=24))
STEP = timedelta(seconds=figure(10, 2))
TRAINED_ON = 150
FAULTY = range(500, 600)
DOUBLES = 0.2
WIDTHS = (1, 7, 24, 100, 360, 1000, 5000, 50_000)
Row = dict[str, Any]


def rows_of(begin: datetime) -> list[Row]:
    """A machine at work; a part of it so far off that it would raise an alarm if it were of now."""
    chance = random.Random(9)  # noqa: S311  not for secrets
    rows, energy_kwh = [], 1000.0
    for number in range(SPAN // STEP):
        ts = begin + number * STEP + timedelta(milliseconds=chance.randrange(900))
        power_kw = 30 + 3 * math.sin(number / 200) + chance.gauss(0, 0.2)
        if number in FAULTY:
            power_kw *= 10
        energy_kwh += power_kw * STEP.total_seconds() / 3600
        rows.append({"ts": ts.isoformat(), "power_kw": power_kw, "energy_kwh": energy_kwh, "n_count": number})
    return rows


@pytest.fixture
def watched(folder: Path) -> Iterator[Product]:
    with running(folder, ENMS_TRAIN_ROWS="100") as product:
        product.user("line", "edge")
        product.user("anna", "viewer")
        yield product


@pytest.mark.timeout(900)
def test_late_shuffled_and_doubled_data_give_the_same_history_as_in_order_and_raise_no_alarm(
    watched: Product,
) -> None:
    begin = (datetime.now(UTC) - LATE - SPAN).replace(microsecond=0)
    rows = rows_of(begin)
    with (
        PlainClient(watched.mqtt_port, "anna", watched.passwords["anna"]) as anna,
        PlainClient(watched.mqtt_port, "line", watched.passwords["line"]) as line,
    ):
        anna.subscribe("enms/anomaly/#")
        train(watched, line)
        anna.heard(0.5)
        in_order = [rows[start : start + 50] for start in range(0, len(rows), 50)]
        for chunk in in_order:
            line.publish("enms/telemetry/ordered", json.dumps(chunk))
        for chunk in shuffled(rows):
            line.publish("enms/telemetry/late", json.dumps(chunk))
        began = time.monotonic()
        until(lambda: [count_of(watched, name, begin) for name in ("ordered", "late")] == [len(rows)] * 2, 60)
        stored_s = time.monotonic() - began
        for points in WIDTHS:
            until(
                lambda points=points: (
                    history(watched, "late", begin, points) == history(watched, "ordered", begin, points)
                ),
                60,
            )
            check_against(rows, history(watched, "late", begin, points))
        same_s = time.monotonic() - began
        told = [json.loads(payload) for _, payload in anna.heard(2)]
    print(f"{len(rows)} rows twice stored in {stored_s:.1f} s, the same at all widths in {same_s:.1f} s")
    of_then = [one for one in told if datetime.fromisoformat(one["started_at"]) < begin + SPAN]
    assert of_then == []


def train(product: Product, line: PlainClient) -> None:
    """Give both machines a present that a model is made of, and wait for the models."""
    chance = random.Random(10)  # noqa: S311  not for secrets
    now = datetime.now(UTC)
    for machine in ("ordered", "late"):
        for number in range(TRAINED_ON):
            ts = now - timedelta(seconds=TRAINED_ON - number)
            row = {"ts": ts.isoformat(), "power_kw": 30 + chance.gauss(0, 0.2)}
            line.publish(f"enms/telemetry/{machine}", json.dumps(row))
    until(lambda: len(product.heard("anna", "enms/model/+/+", 1)) >= 2, 60)


def shuffled(rows: list[Row]) -> Iterator[list[Row]]:
    chance = random.Random(11)  # noqa: S311  not for secrets
    left = rows + chance.sample(rows, int(DOUBLES * len(rows)))
    chance.shuffle(left)
    while left:
        size = chance.randint(1, 120)
        yield left[:size]
        left = left[size:]


def history(product: Product, machine: str, begin: datetime, points: int) -> bytes:
    """The answer as it came, but for the machine's name."""
    answer = httpx.get(
        f"{product.url}/api/v1/machines/{machine}/history",
        params={
            "metric": ["power_kw", "energy_kwh", "n_count"] if points <= 5000 else "n_count",
            "start": begin.isoformat(),
            "end": (begin + SPAN + STEP).isoformat(),
            "points": points,
        },
        headers=product._token(),
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.content.replace(f'"{machine}"'.encode(), b'"machine"')


def count_of(product: Product, machine: str, begin: datetime) -> int:
    if product.ask(f"machines/{machine}/history", metric="n_count") is None:
        return 0
    return sum(json.loads(history(product, machine, begin, 50_000))["series"][0]["count"])


def check_against(rows: list[Row], answer: bytes) -> None:
    """The answer's numbers are those of the rows, whatever the width."""
    for series in json.loads(answer)["series"]:
        values = [row[series["metric"]] for row in rows]
        assert sum(series["count"]) == len(values)
        assert min(series["min"]) == min(values)
        assert max(series["max"]) == max(values)
        total = sum(count * mean for count, mean in zip(series["count"], series["mean"], strict=True))
        assert total == pytest.approx(sum(values), rel=1e-12)
