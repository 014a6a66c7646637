"""The score of the Numenta Anomaly Benchmark: an early alarm inside a labelled window earns most.

Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms - the Numenta Anomaly Benchmark",
ICMLA 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from enms.bench.detect_points import Floats, spans


@dataclass(frozen=True, slots=True)
class Profile:
    """What a false alarm and a window without an alarm cost; an alarm at a window's beginning earns 1."""

    false_alarm: float
    miss: float


PROFILES: Final = {
    "standard": Profile(0.11, 1.0),
    "low_fp": Profile(0.22, 1.0),
    "low_fn": Profile(0.11, 2.0),
}
"""The application profiles of the benchmark."""
PROBATION_SHARE: Final = 0.15
PROBATION_MOST: Final = 750
_FEW: Final = 400
_PLACES: Final = ((0.0, 0.9, 60), (0.9, 0.999, 250), (0.999, 1.0, 90))
"""Among many scores thresholds are tried at these quantiles: first, last, how many; dense at the top."""


@dataclass(frozen=True, slots=True)
class Series:
    """One file: what a first alarm in each row is worth.

    `worth` (n): inside a window from 1 at its beginning towards 0 at its end; behind it on down to -1, as it
    is before the first window too. `window` (n) is the number of the row's window, -1 elsewhere. Rows of
    the probation, and rows without a score, have the `scores` (n) -inf.
    """

    scores: Floats
    worth: Floats
    window: NDArray[np.int64]
    windows: int
    days: float

    def earned(self, threshold: float, profile: Profile) -> float:
        """Return the raw score when rows at or above the threshold are alarms; a window's best counts."""
        alarm = self.scores >= threshold
        beside = float(self.worth[alarm & (self.window < 0)].sum()) * profile.false_alarm
        inside = alarm & (self.window >= 0)
        best = np.full(self.windows, -np.inf)
        np.maximum.at(best, self.window[inside], self.worth[inside])
        hit = np.isfinite(best)
        return float(best[hit].sum()) + beside - profile.miss * int((~hit).sum())

    def alarms(self, threshold: float) -> int:
        """Return how many runs of rows are at or above the threshold."""
        return len(spans(self.scores >= threshold))


def probation(rows: int) -> int:
    """Return how many rows at the beginning of a file are for learning, and never scored."""
    return int(min(PROBATION_SHARE * rows, PROBATION_MOST))


def series(
    times: NDArray[np.datetime64],
    scores: Floats,
    windows: Sequence[tuple[np.datetime64, np.datetime64]],
) -> Series:
    """Weigh a file's rows; `times` and `scores` are (n), windows are from first to last row inclusive."""
    rows, skipped = len(times), probation(len(times))
    worth, window = np.full(rows, -1.0), np.full(rows, -1, np.int64)
    firsts = [int(np.searchsorted(times, first, "left")) for first, _ in windows]
    ends = [int(np.searchsorted(times, last, "right")) for _, last in windows]
    for number, (first, end) in enumerate(zip(firsts, ends, strict=True)):
        length = end - first
        worth[first:end] = _sigmoid(-np.arange(length, 0, -1) / max(length, 1)) / _sigmoid(np.array(-1.0))
        window[first:end] = number
        until = firsts[number + 1] if number + 1 < len(firsts) else rows
        if length > 1:
            worth[end:until] = _sigmoid(np.arange(1, until - end + 1) / (length - 1))
    known = np.where(np.isnan(scores), -np.inf, scores)
    known[:skipped] = -np.inf
    days = float((times[-1] - times[skipped]) / np.timedelta64(1, "D")) if rows > skipped else 0.0
    return Series(known, worth, window, len(windows), days)


def score(files: Sequence[Series], threshold: float, profile: Profile) -> float:
    """Return the score at one threshold: 0 for no alarm at all, 100 for one at the beginning of each window.

    NaN where there is no window.
    """
    windows = sum(one.windows for one in files)
    if not windows:
        return float("nan")
    worst = -profile.miss * windows
    earned = sum(one.earned(threshold, profile) for one in files)
    return 100 * (earned - worst) / (windows - worst)


def best(files: Sequence[Series], profile: Profile) -> tuple[float, float]:
    """Return the highest score there is with one threshold for all files, and that threshold.

    The benchmark optimises the threshold this way; infinity, no alarm at all, is a candidate too.
    """
    return max((score(files, one, profile), one) for one in candidates(files))


def candidates(files: Sequence[Series]) -> list[float]:
    """Return the thresholds worth trying: every score there is, or 400 quantiles of those."""
    every = np.concatenate([one.scores for one in files])
    different = np.unique(every[np.isfinite(every)])
    if len(different) > _FEW:
        places = np.concatenate([np.linspace(*one) for one in _PLACES])
        different = np.unique(np.quantile(different, places))
    return [*different.tolist(), float("inf")]


def _sigmoid(place: Floats) -> Floats:
    """Equation 1 of the paper: 1 far before a window's end, 0 at it, -1 far behind; -1 from 3 on."""
    return np.where(place > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(place, 3.0))) - 1.0)  # noqa: PLR2004
