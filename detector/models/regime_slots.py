"""Which regime each of many machines is in, and since when: what a `RegimesFollower` knows of one."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.models.regimes import RegimesModel
from detector.models.regimes_learning import HELD, OLD_S
from detector.models.residual import ResidualModel
from detector.models.splitting import CODES, MODES_MOST, SWITCHES_MOST, ages_s, code_of, stays_of
from detector.rows import Floats, Rows

UNKNOWN: Final = -2


class RegimeSlots:
    """By slot. A machine without regimes is never held."""

    def __init__(self) -> None:
        self._split = np.empty(0, bool)
        self._columns = np.empty((0, SWITCHES_MOST), np.intp)
        self._edges = np.empty((0, SWITCHES_MOST, MODES_MOST - 1))
        self._of_code = np.empty((0, CODES), np.int64)
        self._hold_s = np.empty((0, CODES + 1))
        self._modes = np.empty((0, SWITCHES_MOST), np.int64)
        self._regime = np.empty(0, np.int64)
        self._before = np.empty(0, np.int64)
        self._since_s = np.empty(0)
        self._now_s = np.empty(0)
        self._old = np.empty(0, bool)

    @property
    def _arrays(self) -> dict[str, NDArray]:  # type: ignore[type-arg]
        return {name: one for name, one in vars(self).items() if isinstance(one, np.ndarray)}

    @property
    def memory_bytes(self) -> int:
        """How much the arrays take."""
        return sum(array.nbytes for array in self._arrays.values())

    def resize(self, slots: int) -> None:
        """Make room for so many slots."""
        for name, array in self._arrays.items():
            more = np.zeros((slots - len(array), *array.shape[1:]), array.dtype)
            setattr(self, name, np.concatenate([array, more]))

    def begin(self, slot: int, model: ResidualModel | RegimesModel, past: Rows) -> None:
        """Begin a slot that has seen `past`, whose columns are the model's metrics."""
        self.clear(slot)
        if isinstance(model, ResidualModel) or not model.splits:
            return
        count = len(model.switches)
        self._split[slot] = True
        self._columns[slot, :count] = model.switches.columns
        self._edges[slot, :count] = model.switches.edges
        self._of_code[slot] = model.of_code
        # The last column is that of no regime: HELD.
        self._hold_s[slot, : len(model.regimes)] = [regime.hold_s for regime in model.regimes]
        self._modes[slot] = np.isfinite(self._edges[slot]).sum(axis=-1)
        if len(past):
            modes = model.switches.modes(past.values)
            codes = code_of(modes)
            age_s = float(ages_s(past.ts_s, stays_of(past.ts_s, codes, np.inf), begun=True)[-1])
            self._modes[slot, :count], self._regime[slot] = modes[-1], model.of_code[codes[-1]]
            self._since_s[slot] = past.ts_s[-1] - age_s
            self._old[slot] = age_s >= OLD_S

    def replace(self, slot: int, model: ResidualModel | RegimesModel, window: Rows) -> None:
        """Go on with a new model: what the old one saw change over lately is still young."""
        since_s, was_split = self._since_s[slot], self._split[slot]
        self.begin(slot, model, window)
        if was_split and self._split[slot] and len(window):
            self._since_s[slot] = max(since_s, self._since_s[slot])
            self._old[slot] = window.ts_s[-1] - self._since_s[slot] >= OLD_S

    def clear(self, slot: int) -> None:
        """Make a slot one that is never held."""
        self._split[slot], self._columns[slot], self._edges[slot] = False, 0, np.inf
        self._of_code[slot], self._hold_s[slot], self._modes[slot] = HELD, np.inf, 0
        self._regime[slot] = self._before[slot] = UNKNOWN
        self._since_s[slot], self._now_s[slot], self._old[slot] = -np.inf, -np.inf, True

    def part(self, slot: int, model: ResidualModel | RegimesModel) -> ResidualModel:
        """Return the model that judges the regime a slot is in, or will once it is no longer held."""
        if isinstance(model, ResidualModel):
            return model
        regime = int(self._regime[slot])
        if regime < 0:
            return model.whole
        young, old = model.regimes[regime].young, model.regimes[regime].old
        return (old if self._old[slot] else young) or young or old or model.whole

    def state(self, slot: int, model: ResidualModel | RegimesModel) -> str:
        """Return what the machine was doing at its last row, empty where the model does not know."""
        if isinstance(model, ResidualModel) or not self._split[slot]:
            return ""
        age_s = float(self._now_s[slot] - self._since_s[slot])
        return model.state(int(self._regime[slot]), int(self._before[slot]), age_s)

    def note(self, slots: NDArray[np.intp], ts_s: Floats, values: Floats) -> Iterable[int]:
        """Take rows of values (n, metrics); return the slots that another part judges from now on."""
        split = np.flatnonzero(self._split[slots])
        if not len(split):
            return ()
        own, ts_s = slots[split], ts_s[split]
        shown = values[split[:, None], self._columns[own]]
        modes = np.count_nonzero(self._edges[own] <= shown[:, :, None], axis=-1)
        modes = np.where(np.isfinite(shown), modes, self._modes[own])
        regimes = np.take_along_axis(self._of_code[own], code_of(modes)[:, None], axis=1)[:, 0]
        before = self._regime[own]
        other = regimes != before
        left = (modes != self._modes[own]).any(axis=1) & (before != UNKNOWN)
        self._before[own[other]] = before[other]
        self._modes[own], self._regime[own], self._now_s[own] = modes, regimes, ts_s
        self._since_s[own[left]] = ts_s[left]
        old = ts_s - self._since_s[own] >= OLD_S
        changed = other | (old != self._old[own])
        self._old[own] = old
        return [int(slot) for slot in own[changed]]

    def held(self, slots: NDArray[np.intp], ts_s: Floats) -> NDArray[np.bool_]:
        """Whether each machine changed over too lately, or is in no regime that is judged."""
        hold_s = self._hold_s[slots, self._regime[slots]]
        return self._split[slots] & ~(ts_s - self._since_s[slots] >= hold_s)
