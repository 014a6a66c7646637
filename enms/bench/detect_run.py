"""One recorded file through the detector's live code path, row by row."""

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from enms.bench.detect_data import Recorded, Table
from enms.bench.detect_points import Counts, Events, Flags, Floats


class Judge(Protocol):
    """What is measured: fitted once, then asked row by row, and it sees no later row."""

    def fit(self, table: Table) -> None:
        """Learn."""

    def score_one(self, ts: object, row: dict[str, float]) -> tuple[float, int]:
        """Return the score of a row, and 1 while an episode is open."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of a file's scored rows: `scores` and `alarm` (n), and what it took.

    `row_s` is the time of a row, `row_cpu_s` the processor time of it, which a busy machine changes less.
    """

    recorded: Recorded
    scores: Floats
    alarm: Flags
    fit_s: float
    row_s: float
    row_cpu_s: float

    @property
    def counts(self) -> Counts:
        """The rows by what they are and what was said of them."""
        return Counts.of(self.recorded.faulty, self.alarm)

    @property
    def events(self) -> Events:
        """The faults, and the episodes beside them."""
        return Events.of(self.recorded.faults, self.alarm)


def judge(recorded: Recorded, judge_: Judge) -> Judged:
    """Let the detector learn the first rows of a file and judge the rest."""
    began = time.perf_counter()
    judge_.fit(recorded.table.cut(0, recorded.train))
    fitted, fitted_cpu_s = time.perf_counter(), time.process_time()
    said = [judge_.score_one(ts, row) for ts, row in recorded.rest.records()]
    ended, ended_cpu_s = time.perf_counter(), time.process_time()
    found = np.array(said, np.float64).reshape(len(said), 2)
    rows = max(1, len(said))
    return Judged(
        recorded,
        found[:, 0],
        found[:, 1] > 0.5,  # noqa: PLR2004
        fitted - began,
        (ended - fitted) / rows,
        (ended_cpu_s - fitted_cpu_s) / rows,
    )
