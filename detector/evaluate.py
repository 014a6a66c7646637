"""The live code path as an object that is fitted and then asked row by row, to measure its quality.

`factory()` takes any table that can be iterated like a data frame: columns by name, an index of times.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from detector.fleet import Fleet, Start
from detector.rows import Rows
from detector.training import fit
from detector.tuning import Tuning

MACHINE: Final = "evaluated"


class Streamed:
    """Trains on the first rows, then scores one at a time, and refits as the service does unless told not to.

    `kind` is that of the model, chosen from the data where it is None.
    """

    def __init__(self, tuning: Tuning | None = None, *, refits: bool = True, kind: str | None = None) -> None:
        tuning = tuning or Tuning()
        self._tuning = tuning if refits else replace(tuning, refit_rows=NEVER)
        self._kind = kind
        self._metrics: tuple[str, ...] = ()
        self._last_s = -np.inf
        self._fleet = Fleet(self._tuning, refit_at_once=True)

    def fit(self, table: Any) -> None:
        """Learn from a table with times as its index."""
        ts_s = np.array([ts.timestamp() for ts in table.index])
        values = np.array([[float(value) for value in table[name]] for name in table.columns]).T
        rising = np.concatenate([[True], ts_s[1:] > np.maximum.accumulate(ts_s)[:-1]])
        self.learn(Rows(tuple(table.columns), ts_s, values).where(rising))

    def learn(self, past: Rows) -> None:
        """Learn from rows, which are taken to be normal. Raises TooFewRowsError."""
        learnt = fit(past, self._tuning, self._kind)
        model = learnt.model
        self._metrics, self._last_s = model.metrics, float(past.ts_s[-1])
        window = past.where(past.ts_s > self._last_s - model.reach_s)
        self._fleet.serve(MACHINE, Start(model, "1", learnt.facts, window, learnt.used))

    def score_one(self, ts: Any, row: Mapping[str, float]) -> tuple[float, int]:
        """Return the score and whether an episode is open after this row."""
        score = self.look(ts.timestamp(), row)
        return 0.0 if score is None or np.isnan(score) else score, int(self.open)

    def look(self, ts_s: float, row: Mapping[str, float]) -> float | None:
        """Return the score of a row; None for one that is late and therefore not scored."""
        if not self._metrics:
            msg = "fit must be called before rows are scored"
            raise RuntimeError(msg)
        if ts_s <= self._last_s:
            return None
        self._last_s = ts_s
        values = np.array([row.get(metric, np.nan) for metric in self._metrics], np.float64)
        ((score, _, _),) = self._fleet.push([(MACHINE, ts_s, values)])
        return score

    @property
    def open(self) -> bool:
        """Whether an episode is open."""
        return self._fleet.is_open(MACHINE)


NEVER: Final = 1 << 62
"""Rows that never come."""


def factory() -> Streamed:
    """Make one evaluated detector, with the setting all machines have."""
    return Streamed()
