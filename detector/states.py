"""What a machine is doing: what it says itself, else what its power says."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from detector.rows import Rows

MODE_FIELDS: Final = ("operating_mode", "operating_state", "mode")
POWER_ENDING: Final = "_kw"
OFF_BELOW: Final = 0.03
IDLE_BELOW: Final = 0.35
RESTING: Final = frozenset({"off", "idle", "standby"})
STARTUP: Final = "startup"
UNKNOWN: Final = "unknown"


def power_metric(metrics: tuple[str, ...]) -> str | None:
    """Return the metric to take for the machine's power: `power_kw`, else the first that ends in `_kw`."""
    powers = [metric for metric in metrics if metric.endswith(POWER_ENDING)]
    named = [metric for metric in powers if metric in {"power_kw", "active_power_kw"}]
    return next(iter([*named, *powers]), None)


def high_power_kw(rows: Rows) -> float | None:
    """Return the 95 % quantile of the power in training: what the machine draws when it works."""
    metric = power_metric(rows.metrics)
    if metric is None:
        return None
    powers = rows.values[:, rows.metrics.index(metric)]
    powers = powers[np.isfinite(powers)]
    return float(np.quantile(powers, 0.95)) if len(powers) else None


def operating_state(said: Mapping[str, str], power_kw: float | None, high_kw: float | None) -> str:
    """Return the text state a machine gave, in lower case, else `off`, `idle` or `running` by its power.

    Below 3 % of the 95 % quantile of its power in training it is off, below 35 % idle. `unknown` where
    neither is there.
    """
    for field in MODE_FIELDS:
        if said.get(field):
            return said[field].lower()
    if power_kw is None or high_kw is None or high_kw <= 0.0:
        return UNKNOWN
    if power_kw < OFF_BELOW * high_kw:
        return "off"
    return "idle" if power_kw < IDLE_BELOW * high_kw else "running"
