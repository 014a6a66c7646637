"""What each machine's next models learn from: its normal rows, as float32, and no more than was agreed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.rows import Floats, Rows
from detector.tuning import Tuning

BLOCK_ROWS: Final = 128
"""Rows wait in a block of all machines until there are so many of one."""
SPACING: Final = 0.75
"""A row is remembered when it comes so many periods after the one before."""
APART_ROWS_MOST: Final = 86_400
STAGGER: Final = 61
"""Machines that begin together become due apart: each slot so many rows later than the one before, within a
quarter of the time to its first refit."""
Slots = NDArray[np.intp]
Float32s = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Refit:
    """A refit that is due: learn from `rows`, and serve from the first row at or after `adopt_s`."""

    slot: int
    adopt_s: float
    metrics: tuple[str, ...]
    ts_s: Floats
    values: Float32s

    @property
    def rows(self) -> Rows:
        """The rows to learn from; made when asked for, since many refits may wait."""
        return Rows(self.metrics, self.ts_s, self.values.astype(np.float64))


@dataclass(slots=True)
class _Kept:
    """The rows of one machine. Those before `settled` were learnt from at its training, and always stay.

    Those before `learnt` were learnt from when it was last refitted; `seen` have ever been remembered.
    """

    metrics: tuple[str, ...]
    ts_s: Floats
    values: Float32s
    settled: int
    span_s: float
    learnt: int
    seen: int


class Memory:
    """By slot. A row that was scored as strange is never in it, nor one of an open episode."""

    def __init__(self, metrics: int, tuning: Tuning) -> None:
        self._tuning = tuning
        self.rows_most = tuning.memory_rows
        self._kept: dict[int, _Kept] = {}
        self._block_s = np.empty((0, BLOCK_ROWS))
        self._block = np.empty((0, BLOCK_ROWS, metrics), np.float32)
        self._filled = np.empty(0, np.intp)
        self._newest_s = np.empty(0)
        self._spacing_s = np.empty(0)
        self._since = np.empty(0, np.intp)
        self._due_rows = np.empty(0, np.intp)

    @property
    def memory_bytes(self) -> int:
        """How much the rows take."""
        arrays = sum(one.nbytes for one in vars(self).values() if isinstance(one, np.ndarray))
        return arrays + sum(one.ts_s.nbytes + one.values.nbytes for one in self._kept.values())

    def resize(self, slots: int) -> None:
        """Make room for so many slots."""
        for name, held in vars(self).items():
            if isinstance(held, np.ndarray):
                larger = np.zeros((slots, *held.shape[1:]), held.dtype)
                larger[: len(held)] = held
                setattr(self, name, larger)

    def begin(self, slot: int, past: Rows, period_s: float, span_s: float, samples: int) -> None:
        """Begin with what the first model learnt from."""
        kept = past.cut(max(0, len(past) - self.rows_most))
        values = kept.values.astype(np.float32)
        rows = len(kept)
        self._kept[slot] = _Kept(past.metrics, kept.ts_s.copy(), values, rows, span_s, rows, samples)
        self._filled[slot] = 0
        self._newest_s[slot] = kept.ts_s[-1] if len(kept) else -np.inf
        self.adopt(slot, period_s, span_s, samples)
        self._since[slot] = -(slot * STAGGER % (1 + int(self._due_rows[slot]) // 4))

    def adopt(self, slot: int, period_s: float, span_s: float, samples: int) -> None:
        """Go on with a refitted model's period, window and number of rows.

        Once the memory is full, refits come the more seldom the longer the machine has been known.
        """
        kept = self._kept[slot]
        kept.span_s = span_s
        self._spacing_s[slot] = SPACING * period_s
        full = len(kept.ts_s) >= self.rows_most
        share = int(self._tuning.refit_share * (max(samples, kept.seen) if full else samples))
        self._due_rows[slot] = min(APART_ROWS_MOST, max(self._tuning.refit_rows, share))

    def forget(self, slot: int) -> None:
        """Forget a slot."""
        del self._kept[slot]

    def note(self, slots: Slots, ts_s: Floats, values: Floats, normal: NDArray[np.bool_]) -> list[Refit]:
        """Remember the normal ones of these rows; return the refits that are due with them."""
        spaced = ts_s - self._newest_s[slots] >= self._spacing_s[slots]
        if not spaced.all():
            slots, ts_s, values, normal = slots[spaced], ts_s[spaced], values[spaced], normal[spaced]
        self._newest_s[slots] = ts_s
        self._since[slots] += 1
        own = slots[normal]
        row = self._filled[own]
        self._block_s[own, row], self._block[own, row] = ts_s[normal], values[normal]
        self._filled[own] = row + 1
        for slot in own[row + 1 == BLOCK_ROWS]:
            self._flush(int(slot))
        due = np.flatnonzero(self._since[slots] >= self._due_rows[slots])
        refits = [self._refit(int(slots[at]), float(ts_s[at])) for at in due]
        return [refit for refit in refits if refit is not None]

    def rows(self, slot: int) -> Rows:
        """Return all that is remembered of a slot."""
        self._flush(slot)
        kept = self._kept[slot]
        return Rows(kept.metrics, kept.ts_s, kept.values.astype(np.float64))

    def _refit(self, slot: int, now_s: float) -> Refit | None:
        """Leave out the most recent windows, so that a fault that is just beginning is not learnt.

        None where that leaves nothing that was not learnt before.
        """
        self._since[slot] = 0
        self._flush(slot)
        kept = self._kept[slot]
        newest_s = now_s - self._tuning.left_out_windows * kept.span_s
        until = max(kept.settled, int(np.searchsorted(kept.ts_s, newest_s, side="right")))
        if until <= kept.learnt:
            return None
        kept.learnt = until
        adopt_s = now_s + self._tuning.adopt_windows * kept.span_s
        return Refit(slot, adopt_s, kept.metrics, kept.ts_s[:until], kept.values[:until])

    def _flush(self, slot: int) -> None:
        count, kept = int(self._filled[slot]), self._kept[slot]
        if not count:
            return
        self._filled[slot] = 0
        kept.seen += count
        surplus = max(0, len(kept.ts_s) + count - self.rows_most)
        kept.ts_s = np.concatenate([kept.ts_s[surplus:], self._block_s[slot, :count]])
        kept.values = np.concatenate([kept.values[surplus:], self._block[slot, :count]])
        kept.settled, kept.learnt = max(0, kept.settled - surplus), max(0, kept.learnt - surplus)
