"""A live window for each machine: readings joined to rows in event time, the last of them kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from detector.features import window_edge_s
from detector.rows import Floats, Rows

JOIN_S: Final = 0.5
"""Readings this near in time are one row, when a device sends each metric by itself."""
CARRY_S: Final = 90.0
"""A metric that comes less often than others keeps its last value for so long."""
LATE_S: Final = 3600.0
"""Rows measured longer before their arrival than this are the past, not the present."""
ROWS_MOST: Final = 4000


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One joined row: epoch seconds, and every metric with a value young enough."""

    ts_s: float
    values: Mapping[str, float]

    def of(self, metrics: tuple[str, ...]) -> Floats:
        """Return the values of these metrics (metrics), NaN where there is none."""
        return np.array([self.values.get(metric, np.nan) for metric in metrics])


@dataclass(slots=True)
class Joiner:
    """Joins readings to rows. A row is done once all metrics that came lately are in, or a later begins."""

    late: int = 0
    _whole: tuple[str, ...] | None = None
    _whole_last: tuple[float, tuple[float, ...]] | None = None
    _open_s: float | None = None
    _open: dict[str, float] = field(default_factory=dict)
    _last: dict[str, tuple[float, float]] = field(default_factory=dict)
    _newest_s: float = float("-inf")

    def whole(self, ts_s: float, metrics: tuple[str, ...], values: tuple[float, ...]) -> bool:
        """Take a row that has the metrics of the row before it, which was whole; whether it is one itself.

        That is so for nearly every machine, and nothing needs joining then. Where it is not so, nothing is
        taken.
        """
        if metrics != self._whole or ts_s <= self._newest_s:
            return False
        self._newest_s, self._whole_last = ts_s, (ts_s, values)
        return True

    def take(self, ts_s: float, readings: Mapping[str, float]) -> list[LiveRow]:
        """Take what was measured at one time and return the rows that are finished by it, oldest first.

        Readings from before the newest finished row are counted in `late` and dropped.
        """
        if ts_s <= self._newest_s or (self._open_s is not None and ts_s < self._open_s - JOIN_S):
            self.late += 1
            if ts_s > self._newest_s - JOIN_S:
                self._expect(ts_s, readings)
            return []
        self._remember_whole()
        done = []
        if self._open_s is not None and (
            ts_s > self._open_s + JOIN_S or not self._open.keys().isdisjoint(readings)
        ):
            done.append(self._finish())
        # A reading that comes twice at one time, or just behind the row it just closed, is late as well.
        if ts_s <= self._newest_s:
            self.late += 1
            return done
        self._open_s = ts_s if self._open_s is None else max(ts_s, self._open_s)
        self._open.update(readings)
        if all(metric in self._open for metric in self._expected(ts_s)):
            alone = self._open.keys() == readings.keys()
            done.append(self._finish())
            self._whole = tuple(readings) if alone else None
        return done

    def _expect(self, ts_s: float, readings: Mapping[str, float]) -> None:
        """Wait from now on for metrics that came just too late for a row that did not know of them."""
        self._remember_whole()
        known = self._expected(ts_s)
        self._last.update(
            {metric: (ts_s, value) for metric, value in readings.items() if metric not in known}
        )

    def _remember_whole(self) -> None:
        if self._whole is not None and self._whole_last is not None:
            ts_s, values = self._whole_last
            self._last.update({one: (ts_s, value) for one, value in zip(self._whole, values, strict=True)})
        self._whole = self._whole_last = None

    def _expected(self, now_s: float) -> list[str]:
        return [metric for metric, (ts_s, _) in self._last.items() if now_s - ts_s <= CARRY_S]

    def _finish(self) -> LiveRow:
        if self._open_s is None:
            msg = "there is no open row to finish"
            raise RuntimeError(msg)
        ts_s = self._newest_s = self._open_s
        self._last.update({metric: (ts_s, value) for metric, value in self._open.items()})
        row = LiveRow(ts_s, {metric: self._last[metric][1] for metric in self._expected(ts_s)})
        self._open_s, self._open = None, {}
        return row


class Window:
    """The last rows of one machine, with the model's metrics as columns, in one block of memory."""

    def __init__(self, metrics: tuple[str, ...]) -> None:
        self.metrics = metrics
        self._ts_s = np.empty(256)
        self._values = np.empty((256, len(metrics)))
        self._first = self._end = 0

    def add(self, ts_s: float, values: Floats, span_s: float) -> None:
        """Add a row, which must be later than the newest, and drop what is older than `span_s` before it."""
        if self._end == len(self._ts_s):
            self._make_room()
        self._ts_s[self._end] = ts_s
        self._values[self._end] = values
        self._end += 1
        oldest_s = window_edge_s(ts_s, span_s)
        while self._ts_s[self._first] <= oldest_s or self._end - self._first > ROWS_MOST:
            self._first += 1

    @property
    def rows(self) -> Rows:
        """The rows held, oldest first; valid until the next is added."""
        held = slice(self._first, self._end)
        return Rows(self.metrics, self._ts_s[held], self._values[held])

    @property
    def nbytes(self) -> int:
        """How much its block of memory takes."""
        return self._ts_s.nbytes + self._values.nbytes

    def _make_room(self) -> None:
        held = slice(self._first, self._end)
        count = self._end - self._first
        size = max(256, 2 * count)
        ts_s, values = np.empty(size), np.empty((size, len(self.metrics)))
        ts_s[:count], values[:count] = self._ts_s[held], self._values[held]
        self._ts_s, self._values, self._first, self._end = ts_s, values, 0, count


def rows_of(measured: list[tuple[float, Mapping[str, float]]]) -> Rows:
    """Join a stretch of history, in order of time, exactly as live readings are joined."""
    joiner = Joiner()
    joined = [row for ts_s, readings in measured for row in joiner.take(ts_s, readings)]
    metrics = tuple(sorted({metric for row in joined for metric in row.values}))
    values = np.array([[row.values.get(metric, np.nan) for metric in metrics] for row in joined])
    return Rows(metrics, np.array([row.ts_s for row in joined]), values.reshape(len(joined), len(metrics)))


def bridged(past: Rows, recent: Iterable[LiveRow], reach_s: float) -> Rows:
    """Return the last `reach_s` of the past with the rows that came after it."""
    newest_s = float(past.ts_s[-1]) if len(past) else -np.inf
    after = [row for row in recent if row.ts_s > newest_s]
    ts_s = np.concatenate([past.ts_s, [row.ts_s for row in after]])
    values = np.concatenate([past.values, *(row.of(past.metrics)[None] for row in after)])
    return (
        Rows(past.metrics, ts_s, values).where(ts_s > window_edge_s(float(ts_s[-1]), reach_s))
        if len(ts_s)
        else past
    )
