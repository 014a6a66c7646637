"""The live code path as an object that is fitted and then asked row by row, to measure its quality.

`factory()` takes any table that can be iterated like a data frame: columns by name, an index of times.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from detector.config import Tuning
from detector.models import learn_best
from detector.rows import Rows
from detector.tracker import Looked, Tracker
from detector.windows import LiveRow


class Streamed:
    """Trains on the first rows, then scores one at a time and refits as the service does."""

    def __init__(self, tuning: Tuning | None = None) -> None:
        self._tuning = tuning or Tuning()
        self._tracker: Tracker | None = None
        self._last_s = -np.inf

    def fit(self, table: Any) -> None:
        """Learn from a table with times as its index."""
        ts_s = np.array([ts.timestamp() for ts in table.index])
        values = np.array([[float(value) for value in table[name]] for name in table.columns]).T
        rising = np.concatenate([[True], ts_s[1:] > np.maximum.accumulate(ts_s)[:-1]])
        past = Rows(tuple(table.columns), ts_s, values).where(rising)
        model = learn_best(past, self._tuning)
        self._tracker = Tracker.start("evaluated", model, "1", past, self._tuning)
        self._last_s = float(ts_s.max())
        warming = np.flatnonzero(past.ts_s > self._last_s - model.span_s)
        for at in warming:
            self._tracker.warm(
                LiveRow(float(past.ts_s[at]), dict(zip(past.metrics, past.values[at], strict=True)))
            )

    def score_one(self, ts: Any, row: Mapping[str, float]) -> tuple[float, int]:
        """Return the score and whether an episode is open after this row."""
        looked = self.look(ts.timestamp(), row)
        score = 0.0 if looked is None or np.isnan(looked.score) else looked.score
        return score, int(self._tracker is not None and self._tracker.open)

    def look(self, ts_s: float, row: Mapping[str, float]) -> Looked | None:
        """Take one row; None for one that is late and therefore not scored."""
        if self._tracker is None:
            msg = "fit must be called before rows are scored"
            raise RuntimeError(msg)
        if ts_s <= self._last_s:
            return None
        self._last_s = ts_s
        looked = self._tracker.take(LiveRow(ts_s, row))
        rows = self._tracker.refit_rows()
        if rows is not None:
            self._tracker.adopt(learn_best(rows, self._tuning))
        return looked


def factory() -> Streamed:
    """Make one evaluated detector, with the setting all machines have."""
    return Streamed()
