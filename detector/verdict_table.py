"""The verdicts of many machines: those that are calm stay in arrays, the others are stepped one by one."""

import numpy as np
from numpy.typing import NDArray

from detector.models.base import Patience
from detector.rows import Floats
from detector.verdict import Verdict

Slots = NDArray[np.intp]


class VerdictTable:
    """By slot. `calm` is the part of `verdict.step` that leads to nothing, for many machines at once."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._patience: list[Patience | None] = []
        self._suspicious: dict[int, Verdict] = {}
        self._stepped = np.empty(0, bool)
        self._last_s = np.empty(0)  # NaN stands for None here
        self._calm_s = np.empty(0)
        self._low_s = np.empty(0)
        self._hole_s = np.empty(0)
        self._calm_ratio = np.empty(0)

    @property
    def memory_bytes(self) -> int:
        """How much the arrays take."""
        return sum(one.nbytes for one in vars(self).values() if isinstance(one, np.ndarray))

    def resize(self, slots: int) -> None:
        """Make room for so many slots."""
        more = slots - len(self._names)
        self._names += [""] * more
        self._patience += [None] * more
        self._stepped = np.concatenate([self._stepped, np.zeros(more, bool)])
        for name in ("_last_s", "_calm_s", "_low_s", "_hole_s", "_calm_ratio"):
            setattr(self, name, np.concatenate([getattr(self, name), np.full(more, np.nan)]))

    def begin(self, slot: int, verdict: Verdict, patience: Patience) -> None:
        """Go on from a verdict."""
        self._names[slot] = verdict.machine
        self.adopt(slot, patience)
        self.put(slot, verdict)

    def adopt(self, slot: int, patience: Patience) -> None:
        """Go on with the patience of another model."""
        self._patience[slot] = patience
        self._hole_s[slot], self._calm_ratio[slot] = patience.hole_s, patience.calm_ratio

    def patience(self, slot: int) -> Patience:
        """Return the patience of a slot."""
        patience = self._patience[slot]
        if patience is None:
            raise IndexError(f"slot {slot} has no verdict")
        return patience

    def calm(self, slots: Slots, ts_s: Floats, scores: Floats, held: NDArray[np.bool_]) -> Slots:
        """Step all that are calm and stay so; return the places (in `slots`) of the others, untouched."""
        others = self._stepped[slots] | (scores >= 1.0)
        if others.any():
            still = ~others
            slots, ts_s, scores, held = slots[still], ts_s[still], scores[still], held[still]
        hole = ts_s - self._last_s[slots] > self._hole_s[slots]
        known = np.isfinite(scores)
        calm_s = np.where(hole, np.nan, self._calm_s[slots])
        low_s = np.where(hole, np.nan, self._low_s[slots])
        begun = np.where(np.isnan(calm_s), ts_s, calm_s)
        calm = np.where(scores < self._calm_ratio[slots], begun, np.nan)
        self._calm_s[slots] = np.where(known, calm, np.where(held, np.nan, calm_s))
        lower = known & ((scores < 0.5) | np.isnan(low_s))  # noqa: PLR2004  as in `step`
        self._low_s[slots] = np.where(lower, ts_s, low_s)
        self._last_s[slots] = ts_s
        return np.flatnonzero(others)

    def get(self, slot: int) -> Verdict:
        """Return the verdict of a slot."""
        found = self._suspicious.get(slot)
        if found is not None:
            return found
        figures = (self._last_s[slot], self._calm_s[slot], self._low_s[slot])
        last_s, calm_s, low_s = (None if np.isnan(one) else float(one) for one in figures)
        return Verdict(self._names[slot], last_s=last_s, calm_s=calm_s, low_s=low_s)

    def put(self, slot: int, verdict: Verdict) -> None:
        """Set the verdict of a slot."""
        self._stepped[slot] = verdict.suspicious
        if verdict.suspicious:
            self._suspicious[slot] = verdict
            return
        self._suspicious.pop(slot, None)
        figures = (verdict.last_s, verdict.calm_s, verdict.low_s)
        self._last_s[slot], self._calm_s[slot], self._low_s[slot] = (
            np.nan if one is None else one for one in figures
        )

    def open(self, slots: Slots) -> NDArray[np.bool_]:
        """Whether an episode is open (n)."""
        found = self._stepped[slots]
        for at in np.flatnonzero(found):
            found[at] = self._suspicious[int(slots[at])].episode is not None
        return found

    def all_open(self) -> list[int]:
        """Return the slots with an open episode."""
        return [slot for slot, one in self._suspicious.items() if one.episode is not None]
