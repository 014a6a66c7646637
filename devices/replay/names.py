"""From a column's header to a safe metric name and a unit."""

import re
import unicodedata
from collections.abc import Collection
from typing import Final

from broker.telemetry import NUMBERING_FIELDS, TIME_FIELDS
from broker.units import unit_of

_LONGEST: Final = 64
_RESERVED: Final = frozenset((*TIME_FIELDS, *NUMBERING_FIELDS))
_IN_BRACKETS: Final = re.compile(r"^(?P<name>.*?)\s*[(\[](?P<unit>[^()\[\]]{1,20})[)\]]\s*$")
_SPELLINGS: Final = {
    "degc": "°C",
    "deg c": "°C",
    "celsius": "°C",
    "c": "°C",
    "degf": "°F",
    "deg f": "°F",
    "fahrenheit": "°F",
    "kw": "kW",
    "mw": "MW",
    "kwh": "kWh",
    "amp": "A",
    "amps": "A",
    "a": "A",
    "v": "V",
    "volt": "V",
    "hz": "Hz",
    "percent": "%",
    "m3/h": "m³/h",
    "m3": "m³",
    "l/min": "L/min",
    "rpm": "1/min",
}
"""Other ways to write units that the bus knows by one spelling."""


def split_unit(header: str) -> tuple[str, str]:
    """Return the header without its unit, and the unit, or an empty one.

    >>> split_unit("Temperature (degC)")
    ('Temperature', '°C')
    >>> split_unit("power_kw")
    ('power_kw', 'kW')
    """
    found = _IN_BRACKETS.match(header.strip())
    if found and found["name"]:
        unit = found["unit"].strip()
        return found["name"], _SPELLINGS.get(unit.lower(), unit)
    return header.strip(), unit_of(safe_name(header))


def safe_name(header: str) -> str:
    """Return the header in lower case with everything but letters and digits as `_`; may be empty.

    >>> safe_name("Volume Flow RateRMS")
    'volume_flow_raterms'
    """
    plain = unicodedata.normalize("NFKD", header.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:_LONGEST].rstrip("_")


def metric_name(header: str, position: int, taken: Collection[str]) -> str:
    """Return a name no other column has; `position` counts columns from 1.

    Words that mean a message's time or number on the bus get `_value` behind them.
    """
    name = safe_name(header) or f"column_{position}"
    if name in _RESERVED:
        name = f"{name}_value"
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name[: _LONGEST - 4]}_{count}"
    return unique
