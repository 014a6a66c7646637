"""What a reading can never be: by its unit, by what the machine announced, by the marks devices send."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from broker.messages import MetricInfo
from broker.units import unit_of
from detector.rows import Floats

VACUUM_BAR: Final = -1.1
"""Below an absolute vacuum, for a gauge that shows 0 at the pressure around it on a day of high pressure."""
PHYSICAL: Final[Mapping[str, tuple[float, float]]] = {
    "K": (0.0, np.inf),
    "°C": (-273.15, np.inf),
    "°F": (-459.67, np.inf),
    "bar": (VACUUM_BAR, np.inf),
    "mbar": (VACUUM_BAR * 1e3, np.inf),
    "kPa": (VACUUM_BAR * 1e2, np.inf),
    "Pa": (VACUUM_BAR * 1e5, np.inf),
    "Hz": (0.0, np.inf),
}
"""Lowest and highest value by unit. Only what is certain: power, current and flow may be negative."""
HUMIDITY_PCT: Final = (-5.0, 105.0)
"""A relative humidity, with the error cheap sensors have at both ends."""
SENTINELS: Final = np.array(
    (
        *(-9999.0, -9999.9, -999.9, -999.0, 999.0, 999.9, 9999.0, 9999.9, 99999.0),
        *(-32768.0, -3276.8, -327.68, 32767.0, 3276.7, 327.67, 65535.0, 6553.5, 655.35, 65534.0),
        *(-2147483648.0, 2147483647.0, 4294967295.0),
    )
)
"""What devices send for "no reading": all nines, and full registers, also scaled."""
PROBE_SENTINELS: Final = np.array([85.0, 850.0, -127.0])
"""What a DS18B20 temperature probe shows after power-on (also in tenths), and when its wire is broken."""
ROUNDING: Final = 0.01
"""An announced limit is believed when training passed it by no more than this part of the span."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`low`, `high` (metrics): what is beyond cannot be, by nature or by the machine; infinite if unknown."""

    low: Floats
    high: Floats


def limits(metrics: tuple[str, ...], announced: Mapping[str, MetricInfo], seen: Limits) -> Limits:
    """Return the limits of each metric: physical, and announced as far as training kept to them."""
    low, high = np.full(len(metrics), -np.inf), np.full(len(metrics), np.inf)
    for at, metric in enumerate(metrics):
        info = announced.get(metric)
        unit = info.unit if info is not None and info.unit else unit_of(metric)
        low[at], high[at] = PHYSICAL.get(unit, (-np.inf, np.inf))
        if unit == "%" and "humidity" in metric:
            low[at], high[at] = HUMIDITY_PCT
        if info is None:
            continue
        least = info.min if info.min is not None else -np.inf
        most = info.max if info.max is not None else np.inf
        if not least < most:
            continue
        slack = ROUNDING * (most - least) if np.isfinite(most - least) else 0.0
        if not seen.low[at] < least - slack:
            low[at] = max(low[at], least - slack)
        if not seen.high[at] > most + slack:
            high[at] = min(high[at], most + slack)
    return Limits(low, high)


def probes(metrics: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which metrics (metrics) are temperatures in °C."""
    return np.array([unit_of(metric) == "°C" for metric in metrics], bool)


def sentinel(
    values: Floats, before: Floats, low: Floats, high: Floats, probe: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether values are marks of "no reading", not readings; all arrays are (n).

    They are when they are more than the training range's width outside of it (`low` to `high`), and as far
    from the last good value `before`: what creeps there was measured. NaN is no mark, nor is there one for
    a metric whose range is not known. `probe` says which are temperatures in °C, with marks of their own.
    """
    width = high - low
    outside = np.maximum(low - values, values - high)
    leapt = ~(np.abs(values - before) <= width)
    marks = np.isin(values, SENTINELS) | (probe & np.isin(values, PROBE_SENTINELS))
    return (outside > width) & leapt & marks
