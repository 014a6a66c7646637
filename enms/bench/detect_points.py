"""How well alarms by row fit labels by row, and how well scores rank rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what they are and what was said of them: hits, false alarms, misses, rightly calm."""

    hits: int = 0
    false_alarms: int = 0
    misses: int = 0
    calm: int = 0

    @classmethod
    def of(cls, strange: Flags, alarm: Flags) -> Self:
        """Count the rows of one file; both arrays are (n)."""
        hits, alarms, faulty = int((strange & alarm).sum()), int(alarm.sum()), int(strange.sum())
        return cls(hits, alarms - hits, faulty - hits, len(strange) - alarms - faulty + hits)

    @classmethod
    def pooled(cls, each: Iterable["Counts"]) -> "Counts":
        """Add up the rows of several files, as SKAB's leader board does (github.com/waico/SKAB)."""
        every = list(each)
        return Counts(
            sum(one.hits for one in every),
            sum(one.false_alarms for one in every),
            sum(one.misses for one in every),
            sum(one.calm for one in every),
        )

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), van Rijsbergen 1979; NaN where nothing is strange and nothing alarmed."""
        return _ratio(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)

    @property
    def far_pct(self) -> float:
        """False alarm rate of SKAB: FP / (FP + TN), in per cent of the normal rows."""
        return 100 * _ratio(self.false_alarms, self.false_alarms + self.calm)

    @property
    def mar_pct(self) -> float:
        """Missed alarm rate of SKAB: FN / (FN + TP), in per cent of the faulty rows."""
        return 100 * _ratio(self.misses, self.misses + self.hits)

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the shares of faulty and of normal rows that were told right, 0 to 1."""
        return 1 - (self.far_pct + self.mar_pct) / 200


def auc(strange: Flags, scores: Floats) -> float:
    """Return the area under the ROC curve: how often a faulty row scores above a normal one, ties half.

    By the rank sum of Mann and Whitney (1947). A row without a score (NaN) counts as the lowest there is.
    NaN where all rows are of one sort.
    """
    faulty, normal = int(strange.sum()), int((~strange).sum())
    known = np.isfinite(scores)
    if not faulty or not normal or not known.any():
        return float("nan")
    filled = np.where(np.isnan(scores), scores[known].min(), scores)
    _, place, many = np.unique(filled, return_inverse=True, return_counts=True)
    mean_rank = (np.cumsum(many) - (many - 1) / 2)[place]
    return float((mean_rank[strange].sum() - faulty * (faulty + 1) / 2) / (faulty * normal))


def spans(flags: Flags) -> list[tuple[int, int]]:
    """Return the runs of true rows as (first, last), both inclusive."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


@dataclass(frozen=True, slots=True)
class Events:
    """Faults with a beginning and an end: how many there are, how many an alarm overlaps, alarms beside."""

    events: int
    found: int
    unrelated: int

    @classmethod
    def of(cls, faults: Sequence[tuple[int, int]], alarm: Flags) -> Self:
        """Count faults, (first, last) row of each, and runs of `alarm` (n) that overlap none of them."""
        found = sum(bool(alarm[first : last + 1].any()) for first, last in faults)
        inside = np.zeros(len(alarm), bool)
        for first, last in faults:
            inside[first : last + 1] = True
        beside = sum(not inside[first : last + 1].any() for first, last in spans(alarm))
        return cls(len(faults), found, beside)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
