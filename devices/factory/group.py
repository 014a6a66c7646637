"""All machines of one kind, computed together: one array entry a machine."""

from collections.abc import Mapping, Sequence

import numpy as np

from devices.factory.base import Moment, Outcome
from devices.factory.noise import Floats
from devices.factory.plant import MachineSpec


class Group:
    """The machines of one kind: `state` and what drives it. They stand at `machines` in the plant's order."""

    def __init__(self, specs: Sequence[MachineSpec], machines: slice, now: Moment) -> None:
        """Take machines of one kind, which are settled at the moment given."""
        self.specs = specs
        self.machines = machines
        self.kind = specs[0].kind
        self.metrics = tuple(self.kind.metrics)
        self.state = self._settled(now)
        self.outcome = self.kind.run(now, self.state)

    def _settled(self, now: Moment) -> dict[str, Floats]:
        """Return the state the machines would have had they been as they are now for long."""
        state = {name: np.zeros(len(self.specs)) for name in self.kind.lags_s}
        for _ in range(60):
            targets = self.kind.run(now, state).targets
            state = {name: state[name] + 0.3 * (targets[name] - state[name]) for name in state}
        return state

    def later(self, by_s: float) -> dict[str, Floats]:
        """Return the state `by_s` seconds on: each lag approaches its target exponentially."""
        targets, lags_s = self.outcome.targets, self.kind.lags_s
        return {
            name: value + (targets[name] - value) * -np.expm1(-by_s / lags_s[name])
            for name, value in self.state.items()
        }

    def advance(self, by_s: float, now: Moment) -> None:
        """Move the state on by `by_s`, to the moment `now`."""
        self.state = self.later(by_s)
        self.outcome = self.kind.run(now, self.state)

    def look(self, by_s: float, now: Moment) -> Outcome:
        """Return how it is `by_s` after the last advance, at the moment `now`; nothing is moved."""
        return self.kind.run(now, self.later(by_s))

    def table(self, outcome: Outcome) -> list[Floats]:
        """Return the values metric by metric, in the order of `metrics`."""
        values: Mapping[str, Floats] = outcome.values
        return [values[metric] for metric in self.metrics]
