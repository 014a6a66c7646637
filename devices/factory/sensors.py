"""What the sensors of a plant show of the true values: noise, the sensor's span, its digits."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from devices.factory import noise
from devices.factory.noise import Floats
from devices.factory.plant import MachineSpec

_DIGITS: Final = 4


class Sensors:
    """The sensors of all machines, kind by kind, within a kind metric by metric."""

    def __init__(self, groups: Sequence[Sequence[MachineSpec]], seed: int) -> None:
        """Take the machines grouped by kind."""
        sensors = [
            (spec, name, rule)
            for specs in groups
            for name, rule in specs[0].kind.metrics.items()
            for spec in specs
        ]
        self._keys = noise.keys(seed, *((spec.name, f"sensor {name}") for spec, name, _ in sensors))
        size = np.array([spec.rated_kw if rule.a_kw else 1.0 for spec, _, rule in sensors])
        self._noise = size * np.array([rule.noise for _, _, rule in sensors])
        self._noise_ratio = np.array([rule.noise_ratio for _, _, rule in sensors])
        self._low = np.array([rule.low for _, _, rule in sensors])
        self._high = size * np.array([rule.high for _, _, rule in sensors])

    def show(self, true: Floats, at_ms: int) -> list[float]:
        """Return what is read at `at_ms` (since 1970). A true zero is read as zero."""
        spread = self._noise * (true != 0.0) + self._noise_ratio * true
        shown = true + noise.normal(self._keys, at_ms) * spread
        read: list[float] = np.round(np.minimum(np.maximum(shown, self._low), self._high), _DIGITS).tolist()
        return read
