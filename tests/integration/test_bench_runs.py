"""Each benchmark as a user runs it, tiny: it ends well, says what it must say, and leaves nothing behind."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    """Where a benchmark makes its temporary folder: open to the users Mosquitto and PostgreSQL drop to."""
    with tempfile.TemporaryDirectory(prefix="enms-test-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def bench(name: str, place: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "enms", "bench", name, "--folder", str(place), "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()  # where it still runs, something was wrong; this way it cleans up


def result(name: str, place: Path, *options: str) -> tuple[dict[str, Any], list[str]]:
    """Figures by name, and the remarks."""
    with bench(name, place, *options) as process:
        shown, said = process.communicate(timeout=240)
    assert process.returncode == 0, said + shown
    told = json.loads(shown.splitlines()[-1])
    assert told["bench"] == name
    assert list(place.iterdir()) == []
    return {one["what"]: one for one in told["results"]}, told["remarks"]


def promised(found: dict[str, Any], what: str) -> tuple[float, float]:
    return found[what]["floor"], found[what]["goal"]


def test_ingest_compares_with_who_is_there_and_says_who_is_not(place: Path) -> None:
    options = ("--messages", "2000", "--machines", "40", "--rounds", "1", "--memory-messages", "1000")
    found, remarks = result("ingest", place, *options, "--node-red", "/nowhere")
    assert promised(found, "vs_c_subscriber") == (0.35, 0.6)
    assert found["vs_c_subscriber"]["figure"] > 0
    assert [found[what]["figure"] for what in ("lost", "twice", "wrong")] == [0, 0, 0]
    assert found["memory_at_100_pct"]["figure"] > 0
    assert "vs_node_red" not in found
    assert "--install-node-red" in remarks[0]


def test_sustain_finds_every_reading_once_scored_and_how_late_it_came(place: Path) -> None:
    options = ("--machines", "60", "--seconds", "6", "--settle", "1", "--learn-rows", "100")
    found, _ = result("sustain", place, *options)
    assert promised(found, "machines_held") == (5000, 10_000)
    assert [found[what]["figure"] for what in ("lost", "twice", "wrong")] == [0, 0, 0]
    assert found["stored"]["figure"] == 60 * 6 * 5
    assert found["scored"]["figure"] == found["scored"]["goal"] == 60 * 6
    assert found["lag_p99_ms"]["figure"] > 0
    assert found["score_lag_p99_ms"]["figure"] > 0
    assert {"cpu_gateway", "cpu_database", "cpu_broker", "cpu_generator", "cpu_detector"} <= set(found)


def test_sustain_without_the_detector_says_nothing_of_scoring(place: Path) -> None:
    found, _ = result(
        "sustain", place, "--machines", "60", "--seconds", "5", "--settle", "1", "--no-detector"
    )
    assert found["stored"]["figure"] == 60 * 5 * 5
    assert not {"scored", "cpu_detector"} & set(found)


def test_latency_tells_of_every_jump_how_long_it_took_to_a_page(place: Path) -> None:
    found, _ = result("latency", place, "--machines", "60", "--seconds", "12")
    assert promised(found, "p99_ms") == (500, 150)
    assert found["opened"]["figure"] == int(found["opened"]["note"].split()[1]) > 0
    assert found["missed"]["figure"] == 0
    assert 0 < found["p50_ms"]["figure"] <= found["p99_ms"]["figure"]
    assert found["hop_published_received_p99_ms"]["figure"] > 0


def test_history_is_asked_over_http_and_shows_the_spike(place: Path) -> None:
    found, _ = result("history", place, "--days", "1", "--times", "2")
    assert promised(found, "year_p50_ms") == (300, 50)
    assert promised(found, "day_p50_ms") == (50, 50)
    assert found["spike_seen"]["figure"] == 1
    assert found["readings"]["figure"] == 2 * 86_400
    assert found["export_peak_mib"]["figure"] > 0


def test_a_benchmark_that_is_interrupted_leaves_nothing(place: Path) -> None:
    with bench("sustain", place, "--machines", "60", "--seconds", "60", "--learn-rows", "100") as process:
        deadline = time.monotonic() + 60
        while not list(place.glob("*/run/detector.pid")):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        pids = [int(path.read_text().split()[0]) for path in place.glob("*/run/*.pid")]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped" in said
    assert list(place.iterdir()) == []
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
