"""The detector's benchmarks as a user runs them, tiny: they end well and say what they must say."""

import json
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.tuning import Tuning

START = datetime(2026, 3, 4, 12, tzinfo=UTC)


def result(name: str, *options: str) -> tuple[dict[str, Any], list[str]]:
    """Figures by name, and the remarks."""
    command = [sys.executable, "-m", "enms", "bench", name, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["bench"] == name
    return {one["what"]: one for one in told["results"]}, told["remarks"]


def promised(found: dict[str, Any], what: str) -> tuple[float, float]:
    return found[what]["floor"], found[what]["goal"]


def figure(found: dict[str, Any], what: str) -> float:
    return float(found[what]["figure"])


def write(path: Path, head: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *rows]) + "\n")


def pump(rows: int, fault: range, seed: int) -> list[str]:
    """Two metrics that move together but in a fault, a row a second."""
    draw = np.random.default_rng(seed)
    load = np.sin(np.arange(rows) / 20) + 0.1 * draw.normal(size=rows)
    flow = 5 * load + 0.1 * draw.normal(size=rows)
    lines = []
    for at in range(rows):
        apart = 8.0 if at in fault else 0.0
        ts = f"{START + timedelta(seconds=at):%Y-%m-%d %H:%M:%S}"
        lines.append(f"{ts};{10 + load[at]:.4f};{50 + flow[at] + apart:.4f};{float(at in fault)};0.0")
    return lines


@pytest.fixture
def data(tmp_path: Path) -> Path:
    head = "datetime;Current;Flow;anomaly;changepoint"
    for seed in range(3):
        write(tmp_path / "skab" / "valve1" / f"{seed}.csv", head, pump(600, range(480, 560), seed))
    write(tmp_path / "skab-normal" / "normal.csv", head, pump(1400, range(0), 9))
    draw = np.random.default_rng(3)
    values = 20 + draw.normal(size=600)
    values[450:460] += 60
    series = [f"{START + timedelta(minutes=5 * at):%Y-%m-%d %H:%M:%S},{values[at]:.3f}" for at in range(600)]
    write(tmp_path / "nab" / "data" / "plant" / "temperature.csv", "timestamp,value", series)
    around = [f"{START + timedelta(minutes=5 * at):%Y-%m-%d %H:%M:%S}" for at in (440, 480)]
    (tmp_path / "nab" / "windows.json").write_text(json.dumps({"plant/temperature.csv": [around]}))
    return tmp_path


def test_detect_says_of_each_family_what_was_published_and_promised(data: Path) -> None:
    found, remarks = result("detect", "--data", str(data), "--quick", "--halves")
    assert promised(found, "skab_f1") == (0.80, 0.84)
    assert promised(found, "skab_far_pct") == (13.5, 12.0)
    assert "Conv-AE 0.78; 2 files, 400 rows" in found["skab_f1"]["note"]
    assert figure(found, "skab_f1") > 0.7
    assert figure(found, "skab_auc") > 0.9
    assert figure(found, "skab_never_refitted_f1") > 0.7
    assert 0 <= figure(found, "skab_normal_far_pct") < 20
    assert promised(found, "nab_standard") == (55.0, 65.0)
    assert 0 <= figure(found, "nab_standard") <= 100
    assert figure(found, "skab_row_ms") > 0
    assert "steel_f1" not in found
    assert remarks[0].startswith("LEFT OUT")
    assert "steel, steel_fresh" in remarks[0]
    assert f"residual.window_s {Tuning().residual.window_s}, " in remarks[-1]


def test_a_folder_without_recorded_faults_is_told_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "enms", "bench", "detect", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "holds no recorded faults" in done.stderr


def test_score_is_what_scikit_learn_says_of_each_machine() -> None:
    found, _ = result("score", "--machines", "70", "--forest-machines", "5", "--ticks", "5")
    assert figure(found, "differs_from_sklearn") < 1e-9
    assert figure(found, "forest_differs_from_sklearn") < 1e-9
    assert figure(found, "tick_70_ms") > 0
    assert figure(found, "whole_tick_70_ms") > 0
    assert figure(found, "vs_sklearn_loop") > 1
    assert figure(found, "arrays_per_machine_kib") > 0
    assert math.isfinite(figure(found, "memory_per_machine_kib"))
