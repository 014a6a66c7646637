"""A recorded experiment played onto the bus: the fault is found by everyone who listens."""

import csv
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fixtures.page import tab
from fixtures.product import Product, running, until
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.recorded
DATA = os.environ.get("ENMS_TEST_DATA")
EXPERIMENT = "skab/valve1/1.csv"
TRAIN = 400
SPEED = 50
QUIET_ROWS = 100


@dataclass(frozen=True)
class Experiment:
    path: Path
    recorded: list[datetime]
    faulty: list[bool]

    def row_at(self, ts: datetime, ends_at: datetime) -> int:
        """The row whose published time is `ts`."""
        when = self.recorded[-1] - (ends_at - ts)
        return min(range(len(self.recorded)), key=lambda row: abs(self.recorded[row] - when))


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    if not DATA:
        pytest.skip("SKIPPED LOUDLY: set ENMS_TEST_DATA to the folder of the recorded machine data")
    path = Path(DATA) / EXPERIMENT
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file, delimiter=";"))
    recorded = [datetime.fromisoformat(line["datetime"]).replace(tzinfo=UTC) for line in lines]
    return Experiment(path, recorded, [float(line["anomaly"]) > 0.5 for line in lines])


def replay(product: Product, experiment: Experiment, ends_at: datetime, *options: str) -> None:
    words = [sys.executable, "-m", "enms", "replay", str(experiment.path), "--machine", "test-bed"]
    words += ["--skip", "anomaly", "--skip", "changepoint", "--ends-at", ends_at.isoformat()]
    words += ["--data-dir", str(product.data), *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_recorded_fault_is_found_on_the_bus_over_http_and_as_a_toast(
    folder: Path, experiment: Experiment, browser: Browser
) -> None:
    ends_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=25)
    fault = experiment.faulty.index(True)
    history = len(set(experiment.recorded[:TRAIN]))  # a logger's clock repeats a second now and then
    with running(folder, ENMS_TRAIN_ROWS=str(history)) as product:
        product.user("anna", "viewer")
        replay(product, experiment, ends_at, "--speed", "0", "--last", str(TRAIN - 1))
        card = until(lambda: model_card(product), 30)
        assert card["samples"] <= history
        heard: list[tuple[str, str]] = []
        seconds = (len(experiment.recorded) - TRAIN) / SPEED + 10
        listener = threading.Thread(
            target=lambda: heard.extend(product.heard("anna", "enms/anomaly/test-bed", seconds))
        )
        product.user("tom", "viewer")
        with tab(browser, product, "tom") as page:
            listener.start()
            player = threading.Thread(
                target=replay,
                args=(product, experiment, ends_at, "--first", str(TRAIN), "--speed", str(SPEED)),
            )
            player.start()
            toast = page.page.locator("enms-toasts [data-phase=opened]").first
            expect(toast).to_be_visible(timeout=60_000)
            expect(toast).to_contain_text("test-bed")
            page.picture("recorded-fault-toast")
            player.join()
            listener.join()
            assert page.complaints == []
        kept = product.get("anomalies", machine="test-bed")["anomalies"]

    events = [json.loads(payload) for _, payload in heard]
    opened = [one for one in events if one["phase"] == "opened"]
    rows = [experiment.row_at(datetime.fromisoformat(one["ts"]), ends_at) for one in opened]
    print(f"fault from row {fault}; opened at rows {rows}; {heard[:1]}")
    assert any(experiment.faulty[row] for row in rows), f"opened at rows {rows}, the fault is at {fault}"
    quiet = range(fault - QUIET_ROWS, fault)
    assert not [row for row in rows if row in quiet], f"opened at rows {rows}, the fault is at {fault}"
    assert {one["anomaly_id"] for one in opened} <= {one["anomaly_id"] for one in kept}


def model_card(product: Product) -> dict[str, int] | None:
    cards = [payload for _, payload in product.heard("anna", "enms/model/test-bed/+", 1)]
    return json.loads(cards[0]) if cards else None
