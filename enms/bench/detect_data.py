"""Recorded data with labelled faults, read from a folder laid out like the published sets."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.rows import Rows
from enms.bench import detect_nab
from enms.bench.detect_points import Flags, Floats, spans
from enms.bench.injections import inject

SKAB_TRAIN_ROWS: Final = 400
NORMAL_TRAIN_ROWS: Final = 1200
STEEL_TRAIN_SHARE: Final = 0.3
_WEEK: Final = {"Weekend": 0.0, "Weekday": 1.0}
_LOADS: Final = {"Light_Load": 0.0, "Medium_Load": 1.0, "Maximum_Load": 2.0}
ONE_FAULT: Final = np.timedelta64(12, "h")
"""Some faults show only now and then: in quiet hours, in spikes."""
LABELS: Final = ("anomaly", "changepoint")


class BadDataError(RuntimeError):
    """A file is not what its folder promises; the message names it and what is missing."""


class Table:
    """Columns by name and an index of times, as `detector.evaluate` takes it."""

    def __init__(self, columns: tuple[str, ...], times: NDArray[np.datetime64], values: Floats) -> None:
        """Take times (n) in UTC and values (n, columns)."""
        self.columns = columns
        self.times = times
        self.values = values

    def __getitem__(self, name: str) -> Floats:
        return self.values[:, self.columns.index(name)]

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def index(self) -> list[datetime]:
        """The times as aware datetimes."""
        return [one.replace(tzinfo=UTC) for one in self.times.astype("datetime64[us]").tolist()]

    def cut(self, first: int, last: int | None = None) -> "Table":
        """Return some of the rows."""
        return Table(self.columns, self.times[first:last], self.values[first:last])

    def records(self) -> Iterator[tuple[datetime, dict[str, float]]]:
        """Yield each row with its time."""
        for ts, row in zip(self.index, self.values.tolist(), strict=True):
            yield ts, dict(zip(self.columns, row, strict=True))


@dataclass(frozen=True, slots=True)
class Recorded:
    """A file: the first `train` rows are for learning; `strange` (n) are the labels, none in NAB's files.

    `windows` are NAB's, from the first to the last row inclusive.
    """

    name: str
    table: Table
    train: int
    strange: Flags | None = None
    windows: tuple[tuple[np.datetime64, np.datetime64], ...] = ()

    @property
    def rest(self) -> Table:
        """The rows that are scored."""
        return self.table.cut(self.train)

    @property
    def faulty(self) -> Flags:
        """The labels of the rows that are scored."""
        return np.zeros(len(self.rest), bool) if self.strange is None else self.strange[self.train :]

    @property
    def faults(self) -> list[tuple[int, int]]:
        """First and last row of each fault among the rows that are scored; labels near in time are one."""
        times, found = self.rest.times, list[tuple[int, int]]()
        for first, last in spans(self.faulty):
            if found and times[first] - times[found[-1][1]] <= ONE_FAULT:
                found[-1] = (found[-1][0], last)
            else:
                found.append((first, last))
        return found

    @property
    def weeks(self) -> float:
        """The time the scored rows span."""
        times = self.rest.times
        return float((times[-1] - times[0]) / np.timedelta64(7, "D")) if len(times) else 0.0


def skab(folder: Path, train: int = SKAB_TRAIN_ROWS) -> list[Recorded]:
    """Read the experiments of a Skoltech Anomaly Benchmark folder; files without labels are left out."""
    every = [(path, _read(path, ";", "datetime")) for path in sorted(folder.rglob("*.csv"))]
    return [_labelled(path, folder, table, train) for path, table in every if "anomaly" in table.columns]


def nab(folder: Path) -> list[Recorded]:
    """Read the series of a Numenta Anomaly Benchmark folder with its `windows.json`."""
    labelled = json.loads((folder / "windows.json").read_text())
    found = []
    for path in sorted((folder / "data").rglob("*.csv")):
        name = path.relative_to(folder / "data").as_posix()
        table = _read(path, ",", "timestamp")
        windows = tuple((np.datetime64(first), np.datetime64(last)) for first, last in labelled.get(name, ()))
        found.append(Recorded(name, table, detect_nab.probation(len(table)), windows=windows))
    return found


def energy(path: Path, train: float = STEEL_TRAIN_SHARE) -> Recorded:
    """Read one labelled meter; the first share `train` of it is for learning."""
    table = _read(path, ",", "timestamp")
    return _labelled(path, path.parent, table, int(train * len(table)))


def clean_meter(path: Path, since: np.datetime64 | None = None) -> Table:
    """Read a steel mill's meter (UCI 851) as its labelled twin has it: energy, weekday and kind of load."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        times = np.array([row["timestamp"] for row in rows], "datetime64[ms]")
        values = np.array(
            [(float(row["usage_kwh"]), _WEEK[row["week_status"]], _LOADS[row["load_type"]]) for row in rows]
        )
    except (KeyError, ValueError) as error:
        raise BadDataError(f"{path} is not the meter it should be ({error!r})") from error
    later = slice(0 if since is None else int(np.searchsorted(times, since)), None)
    return Table(("usage_kwh", "week_status", "load_type"), times[later], values[later])


def injected(meter: Table, seed: int) -> Recorded:
    """Put faults of our own into a clean meter behind the part that is learnt from."""
    rows = Rows(meter.columns, meter.times.astype("datetime64[ms]").astype(np.float64) / 1000, meter.values)
    made = inject(rows, seed, clean_share=STEEL_TRAIN_SHARE, metric="usage_kwh")
    table = Table(meter.columns, meter.times, made.rows.values)
    return Recorded(f"seed {seed}", table, int(STEEL_TRAIN_SHARE * len(meter)), made.labels)


def _labelled(path: Path, folder: Path, table: Table, train: int) -> Recorded:
    if "anomaly" not in table.columns:
        raise BadDataError(f"{path} has no column `anomaly`; it names the faulty rows (0 or 1)")
    kept = [at for at, name in enumerate(table.columns) if name not in LABELS]
    sensors = Table(tuple(table.columns[at] for at in kept), table.times, table.values[:, kept])
    return Recorded(path.relative_to(folder).as_posix(), sensors, train, table["anomaly"] > 0.5)  # noqa: PLR2004


def _read(path: Path, delimiter: str, time: str) -> Table:
    """Read a file of numbers; an empty field is NaN. Raises BadDataError."""
    with path.open(newline="") as file:
        lines = csv.reader(file, delimiter=delimiter)
        head = next(lines, [])
        if time not in head:
            raise BadDataError(f"{path} has no column `{time}` (found: {', '.join(head) or 'nothing'})")
        at = head.index(time)
        rows = [line for line in lines if line]
    try:
        times = np.array([row.pop(at) for row in rows], "datetime64[ms]")
        values = np.array([[float(field or "nan") for field in row] for row in rows])
    except ValueError as error:
        raise BadDataError(f"{path} holds something else than times and numbers: {error}") from error
    names = tuple(name for name in head if name != time)
    return Table(names, times, values.reshape(len(rows), len(names)))
