"""The weather around the plant."""

import math

from devices.factory import noise

_DAY_S = 86_400.0
_YEAR_S = 365.25 * _DAY_S
_WARMEST_DAY = 201.0
_WARMEST_HOUR = 15.0


class Weather:
    """Outdoor temperature of a temperate place: year, day, fronts of days and clouds of hours."""

    def __init__(self, seed: int) -> None:
        self._fronts = noise.Smooth(noise.keys(seed, ("weather", "fronts")), 3 * _DAY_S)
        self._clouds = noise.Smooth(noise.keys(seed, ("weather", "clouds")), 6 * 3600.0)

    def outdoor_c(self, at_s: float) -> float:
        """Return the temperature in degrees Celsius at `at_s` (seconds since 1970, UTC)."""
        year = math.cos(2 * math.pi * (at_s / _YEAR_S - _WARMEST_DAY / 365.25))
        day = math.cos(2 * math.pi * (at_s / _DAY_S - _WARMEST_HOUR / 24))
        fronts = float(self._fronts.at(at_s)[0])
        clouds = float(self._clouds.at(at_s)[0])
        return 10.5 + 10.0 * year + 4.5 * day + 4.0 * fronts + 1.2 * clouds
