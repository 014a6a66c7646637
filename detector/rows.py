"""Rows of one machine in order of time: what models learn from and score."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from detector.tuning import Tuning

Floats = NDArray[np.float64]
FINEST_S: Final = 10.0
"""Rows are not thinned further than this: windows of half a minute would have too few of them."""


@dataclass(frozen=True, slots=True)
class Rows:
    """`ts_s` (n) rises strictly, epoch seconds; `values` is (n, metrics), NaN where a metric has no value."""

    metrics: tuple[str, ...]
    ts_s: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.ts_s)

    def cut(self, first: int, last: int | None = None) -> Self:
        """Return the rows from `first` to before `last`, without copying."""
        return type(self)(self.metrics, self.ts_s[first:last], self.values[first:last])

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Return the rows where `keep` (n) is true."""
        return type(self)(self.metrics, self.ts_s[keep], self.values[keep])

    def of(self, metrics: tuple[str, ...]) -> "Rows":
        """Return the same rows with these columns, NaN for metrics there are none of."""
        if metrics == self.metrics:
            return self
        values = np.full((len(self), len(metrics)), np.nan)
        for column, metric in enumerate(metrics):
            if metric in self.metrics:
                values[:, column] = self.values[:, self.metrics.index(metric)]
        return Rows(metrics, self.ts_s, values)


def usual_period_s(ts_s: Floats) -> float:
    """Return the gap between rows in which half of the covered time passes, in seconds.

    A day at one row a minute followed by ten minutes at one a second has a period of a minute. The longest
    2 % of the gaps do not count: they are holes. 1.0 where there are not two rows.
    """
    gaps = np.sort(np.diff(ts_s))
    if not len(gaps):
        return 1.0
    common = gaps[: max(1, int(np.ceil(0.98 * len(gaps))))]
    covered = np.cumsum(common)
    return float(common[np.searchsorted(covered, 0.5 * covered[-1])])


def shortest_span_s(period_s: float, tuning: Tuning) -> float:
    """Return the window of rows that come every `period_s`, before a model has found its own."""
    return max(tuning.residual.window_s, tuning.residual.window_rows_least * period_s)


def thinned(rows: Rows, tuning: Tuning) -> Rows:
    """Return the rows at their usual period, and of those no more than `train_rows_most`.

    Where there are more, a longer period is taken, up to 10 s, then the newest.
    """
    if len(rows) <= 2:  # noqa: PLR2004
        return rows
    period_s = usual_period_s(rows.ts_s)
    if np.min(np.diff(rows.ts_s)) < 0.5 * period_s:
        rows = _one_each(rows, period_s)
    longer_s = min(
        FINEST_S,
        period_s * np.ceil(len(rows) / tuning.train_rows_most),
    )
    if longer_s > period_s:
        rows = _one_each(rows, longer_s)
    return rows.cut(max(0, len(rows) - tuning.train_rows_most))


def _one_each(rows: Rows, period_s: float) -> Rows:
    slots = np.floor((rows.ts_s - rows.ts_s[0]) / period_s + 0.25)
    keep = np.concatenate([[True], np.diff(slots) > 0])
    return rows.where(keep)
