"""How long rows and events take over each hop inside the detector, of the last minute."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from broker.messages import Percentiles
from detector.rows import Floats

SECONDS: Final = 60
EDGES_MS: Final = np.geomspace(0.1, 1e6, 281)
"""Bucket edges 6 % apart, from a tenth of a millisecond to a quarter of an hour."""
Counts = NDArray[np.int64]
_MIDDLES_MS: Final = np.sqrt(EDGES_MS[:-1] * EDGES_MS[1:])


class Hops:
    """Counts durations in buckets, a second at a time, so that a minute costs the same at any load.

    A percentile is right to 3 %; what is shorter or longer than all buckets counts in the first or last.
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}
        self._second: dict[str, Counts] = {}

    def note(self, hop: str, took_ms: Sequence[float] | Floats, now_s: float) -> None:
        """Note durations that ended now (epoch seconds)."""
        if not len(took_ms):
            return
        if hop not in self._counts:
            self._counts[hop] = np.zeros((SECONDS, len(_MIDDLES_MS)), np.int64)
            self._second[hop] = np.full(SECONDS, -SECONDS)
        counts, second = self._counts[hop], int(now_s)
        at = second % SECONDS
        if self._second[hop][at] != second:
            self._second[hop][at] = second
            counts[at] = 0
        places = np.searchsorted(EDGES_MS, np.asarray(took_ms), side="right") - 1
        np.add.at(counts[at], np.clip(places, 0, len(_MIDDLES_MS) - 1), 1)

    def percentiles(self, now_s: float) -> Mapping[str, Percentiles]:
        """Return those of each hop over the minute before now; hops that had nothing are left out."""
        found = {}
        for hop, counts in self._counts.items():
            lately = (self._second[hop] > now_s - SECONDS) & (self._second[hop] <= now_s)
            total = np.cumsum(counts[lately].sum(axis=0))
            if lately.any() and total[-1]:
                p50, p95, p99 = (
                    float(_MIDDLES_MS[np.searchsorted(total, share * total[-1])])
                    for share in (0.5, 0.95, 0.99)
                )
                found[hop] = Percentiles(p50_ms=round(p50, 2), p95_ms=round(p95, 2), p99_ms=round(p99, 2))
        return found
