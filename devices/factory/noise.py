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


def smooth(of: Keys, at_s: float, period_s: float) -> Floats:
    """Return a slowly wandering number in (-1, 1) for each key: knots every `period_s`, eased between."""
    knot, part = divmod(at_s / period_s, 1.0)
    ease = part * part * (3.0 - 2.0 * part)
    before, after = uniform(of, int(knot)), uniform(of, int(knot) + 1)
    return 2.0 * (before + (after - before) * ease) - 1.0
