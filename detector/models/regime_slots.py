"""Which regime each of many machines is in, and since when: what a `RegimesFollower` knows of one."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from detector.models.regimes import RegimesModel
from detector.models.residual import ResidualModel
from detector.models.splitting import MODES_MOST
from detector.rows import Floats, Rows
from detector.states import power_metric

UNKNOWN = -1


class RegimeSlots:
    """By slot. A plain residual model has one regime that is never left, so that nothing is ever held."""

    def __init__(self) -> None:
        self._power = np.empty(0, np.intp)
        self._edges_kw = np.empty((0, MODES_MOST - 1))
        self._settle_s = np.empty((0, MODES_MOST + 1))
        self._regime = np.empty(0, np.intp)
        self._since_s = np.empty(0)

    @property
    def memory_bytes(self) -> int:
        """How much the arrays take."""
        arrays = (self._power, self._edges_kw, self._settle_s, self._regime, self._since_s)
        return sum(array.nbytes for array in arrays)

    def resize(self, slots: int) -> None:
        """Make room for so many slots."""
        more = slots - len(self._power)
        self._power = np.concatenate([self._power, np.full(more, UNKNOWN)])
        self._edges_kw = np.concatenate([self._edges_kw, np.full((more, MODES_MOST - 1), np.inf)])
        self._settle_s = np.concatenate([self._settle_s, np.full((more, MODES_MOST + 1), -np.inf)])
        self._regime = np.concatenate([self._regime, np.full(more, UNKNOWN)])
        self._since_s = np.concatenate([self._since_s, np.full(more, -np.inf)])

    def begin(self, slot: int, model: ResidualModel | RegimesModel, past: Rows) -> None:
        """Begin a slot that has seen `past`, whose columns are the model's metrics."""
        self._power[slot], self._regime[slot] = UNKNOWN, UNKNOWN
        self._edges_kw[slot], self._settle_s[slot], self._since_s[slot] = np.inf, -np.inf, -np.inf
        power = power_metric(model.metrics)
        if isinstance(model, ResidualModel) or not model.splits or power is None:
            return
        self._power[slot] = model.metrics.index(power)
        self._edges_kw[slot, : len(model.edges_kw)] = model.edges_kw
        # The last column is that of a regime not yet known: -1.
        self._settle_s[slot, : len(model.settle_s)] = np.maximum(model.settle_s, model.span_s)
        self._settle_s[slot, UNKNOWN] = -np.inf
        powers_kw = past.values[:, self._power[slot]]
        there = np.isfinite(powers_kw)
        regimes = np.searchsorted(model.edges_kw, powers_kw[there], side="right")
        changes = np.flatnonzero(np.diff(regimes))
        if len(regimes):
            self._regime[slot] = regimes[-1]
        if len(changes):
            self._since_s[slot] = past.ts_s[there][changes[-1] + 1]

    def replace(self, slot: int, model: ResidualModel | RegimesModel, window: Rows) -> None:
        """Go on with a new model: what the old one saw change over lately is still settling."""
        since_s = self._since_s[slot]
        self.begin(slot, model, window)
        self._since_s[slot] = max(since_s, self._since_s[slot])

    def clear(self, slot: int) -> None:
        """Make a slot one that is never held."""
        self._power[slot], self._settle_s[slot] = UNKNOWN, -np.inf

    def part(self, slot: int, model: ResidualModel | RegimesModel) -> ResidualModel:
        """Return the model that judges the regime a slot is in."""
        if isinstance(model, ResidualModel):
            return model
        regime = int(self._regime[slot])
        return model.of_regime(None if regime == UNKNOWN else regime)

    def note(self, slots: NDArray[np.intp], ts_s: Floats, values: Floats) -> Iterable[int]:
        """Take the power in rows of values (n, metrics); return the slots whose regime is now another."""
        split = np.flatnonzero(self._power[slots] != UNKNOWN)
        if not len(split):
            return ()
        own, ts_s = slots[split], ts_s[split]
        powers_kw = values[split, self._power[own]]
        regimes = np.count_nonzero(self._edges_kw[own] <= powers_kw[:, None], axis=1)
        before = self._regime[own]
        other = np.isfinite(powers_kw) & (regimes != before)
        self._regime[own[other]] = regimes[other]
        left = other & (before != UNKNOWN)
        self._since_s[own[left]] = ts_s[left]
        return [int(slot) for slot in own[other]]

    def held(self, slots: NDArray[np.intp], ts_s: Floats) -> NDArray[np.bool_]:
        """Whether each machine changed over less than its settling time ago."""
        return ts_s - self._since_s[slots] < self._settle_s[slots, self._regime[slots]]
