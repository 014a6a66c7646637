"""Randomness that depends on (seed, who, when) alone, so that any moment can be computed by itself.

The generator is SplitMix64 used as a counter: hashing (key, tick) needs no history.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LOW = np.uint64(0xFFFFFFFF)
_WRAP = 0xFFFFFFFFFFFFFFFF


def keys(seed: int, *names: tuple[str, str]) -> Keys:
    """Return one key for each (who, what) of `names`."""
    return np.array(
        [
            int.from_bytes(blake2b(f"{seed}/{who}/{what}".encode(), digest_size=8).digest(), "big")
            for who, what in names
        ],
        dtype=np.uint64,
    )


def _hash(of: Keys, tick: int) -> Keys:
    mixed = of + np.uint64((tick * int(_STEP)) & _WRAP)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


def uniform(of: Keys, tick: int = 0) -> Floats:
    """Return a number in [0, 1) for each key at this tick."""
    return (_hash(of, tick) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(of: Keys, tick: int) -> Floats:
    """Return a standard normal number for each key at this tick (Box and Muller)."""
    mixed = _hash(of, tick)
    radius = ((mixed >> np.uint64(32)).astype(np.float64) + 1.0) * 2.0**-32
    angle = (mixed & _LOW).astype(np.float64) * (2.0 * np.pi * 2.0**-32)
    drawn: Floats = np.sqrt(-2.0 * np.log(radius)) * np.cos(angle)
    return drawn


class Smooth:
    """Numbers in (-1, 1), one a key, that wander slowly: drawn at knots every `period_s`, eased between."""

    def __init__(self, of: Keys, period_s: float) -> None:
        self._keys = of
        self._period_s = period_s
        # The last knots are remembered only because drawing them again would cost as much as all the rest.
        self._knot = -1
        self._before = self._rise = np.empty(0)

    def at(self, at_s: float) -> Floats:
        """Return the numbers at `at_s`."""
        knot, part = divmod(at_s / self._period_s, 1.0)
        if knot != self._knot:
            self._knot = int(knot)
            self._before = 2.0 * uniform(self._keys, self._knot) - 1.0
            self._rise = 2.0 * uniform(self._keys, self._knot + 1) - 1.0 - self._before
        return self._before + self._rise * (part * part * (3.0 - 2.0 * part))
