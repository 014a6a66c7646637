"""A metric's unit follows from its name's ending."""

from typing import Final

UNITS: Final[dict[str, str]] = {
    "_kw": "kW",
    "_mw": "MW",
    "_kva": "kVA",
    "_kvar": "kvar",
    "_kwh": "kWh",
    "_mwh": "MWh",
    "_kvarh": "kvarh",
    "_w": "W",
    "_wh": "Wh",
    "_v": "V",
    "_a": "A",
    "_ma": "mA",
    "_hz": "Hz",
    "_c": "°C",
    "_f": "°F",
    "_k": "K",
    "_bar": "bar",
    "_mbar": "mbar",
    "_pa": "Pa",
    "_kpa": "kPa",
    "_m3h": "m³/h",
    "_m3": "m³",
    "_kgh": "kg/h",
    "_kg": "kg",
    "_l_min": "L/min",
    "_l": "L",
    "_mm_s": "mm/s",
    "_mm": "mm",
    "_m_s": "m/s",
    "_g": "g",
    "_pct": "%",
    "_rpm": "1/min",
    "_nm": "Nm",
    "_count": "pieces",
    "_s": "s",
    "_h": "h",
}
"""Unit by ending. Where several fit, the longest decides: `_l_min` before `_min`, `_mm_s` before `_s`."""

NO_TRUE_ZERO: Final = frozenset({"°C", "°F"})
"""Units whose zero is a convention, so that a percentage of a value means nothing."""

_BY_LENGTH: Final = tuple(sorted(UNITS, key=len, reverse=True))


def unit_of(metric: str) -> str:
    """Return the unit a metric's name tells, or an empty text where it tells none."""
    for ending in _BY_LENGTH:
        if metric.endswith(ending):
            return UNITS[ending]
    return ""
