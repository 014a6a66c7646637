"""The detector on recorded machine data: floors that must hold, with one setting for every file."""

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from detector.evaluate import Streamed
from detector.models import ResidualModel
from detector.rows import Rows
from detector.tuning import Tuning

pytestmark = pytest.mark.recorded
DATA = os.environ.get("ENMS_TEST_DATA")
LABELS = ("anomaly", "changepoint")
VALVES = ("valve1/1.csv", "valve1/3.csv", "valve1/4.csv", "valve1/5.csv", "valve1/7.csv", "valve2/1.csv")
CLEAN_BEGINNINGS = ("other/3.csv", "valve1/3.csv", "valve1/1.csv", "valve1/0.csv")


@pytest.fixture(scope="module")
def recorded() -> Path:
    if not DATA:
        pytest.skip("SKIPPED LOUDLY: set ENMS_TEST_DATA to the folder of the recorded machine data")
    return Path(DATA)


def read(path: Path) -> tuple[Rows, np.ndarray]:  # type: ignore[type-arg]
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file, delimiter=";"))
    metrics = tuple(name for name in lines[0] if name not in ("datetime", *LABELS))
    ts_s = np.array(
        [datetime.fromisoformat(line["datetime"]).replace(tzinfo=UTC).timestamp() for line in lines]
    )
    rising = np.concatenate([[True], ts_s[1:] > np.maximum.accumulate(ts_s)[:-1]])
    values = np.array([[float(line[metric]) for metric in metrics] for line in lines])
    faulty = np.array([float(line["anomaly"]) > 0.5 for line in lines])
    return Rows(metrics, ts_s[rising], values[rising]), faulty[rising]


def streamed(rows: Rows, train: int, *, refits: bool = True) -> np.ndarray:  # type: ignore[type-arg]
    """Whether an episode is open after each row from `train` on."""
    detector = Streamed(refits=refits)
    detector.learn(rows.cut(0, train))
    opened = []
    for ts_s, values in zip(rows.ts_s[train:], rows.values[train:], strict=True):
        detector.look(float(ts_s), dict(zip(rows.metrics, values, strict=True)))
        opened.append(detector.open)
    return np.array(opened)


@pytest.mark.parametrize("refits", [True, False])
def test_faults_are_found_with_few_false_alarms(recorded: Path, refits: bool) -> None:  # noqa: FBT001
    found = false = faulty_rows = normal_rows = 0
    for path in sorted((recorded / "skab").rglob("*.csv")):
        rows, faulty = read(path)
        opened, faulty = streamed(rows, 400, refits=refits), faulty[400:]
        found += int((opened & faulty).sum())
        false += int((opened & ~faulty).sum())
        faulty_rows += int(faulty.sum())
        normal_rows += int((~faulty).sum())
    assert faulty_rows > 5000
    assert 2 * found / (found + false + faulty_rows) >= 0.83
    assert false / normal_rows <= 0.13
    assert found / faulty_rows >= 0.78


def test_a_long_run_without_faults_is_quiet(recorded: Path) -> None:
    rows, _ = read(recorded / "skab-normal" / "normal.csv")
    assert streamed(rows, 1200).mean() <= 0.025


@pytest.mark.parametrize("name", VALVES)
def test_a_valve_that_closes_is_seen_at_the_flow(recorded: Path, name: str) -> None:
    rows, faulty = read(recorded / "skab" / name)
    model = ResidualModel.learn(rows.cut(0, 400), Tuning())
    middle = int(np.median(np.flatnonzero(faulty)))
    first = model.explain(rows.cut(0, middle)).views[0]
    assert first.metric == "Volume Flow RateRMS"
    assert first.window_value < first.window_low < first.window_expected
    assert not first.by_spread


@pytest.mark.parametrize("name", CLEAN_BEGINNINGS)
def test_silent_before_the_fault_and_open_within_it(recorded: Path, name: str) -> None:
    rows, faulty = read(recorded / "skab" / name)
    opened = streamed(rows, 400)
    first = int(np.flatnonzero(faulty)[0]) - 400
    assert not opened[first - 100 : first].any()
    assert opened[first:][faulty[400 + first :]].any()
