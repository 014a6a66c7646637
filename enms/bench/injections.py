"""Faults put into a clean energy meter, so that a detector can be measured where the truth is known.

A pure function of clean rows and a seed. The meter's own noise, shifts and holidays stay as they are; only
the rows of a fault change. Each fault has its own length, strength and time, drawn from the ranges below.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from detector.rows import Floats, Rows

FaultKind = Literal["standby", "creep", "stuck", "scale", "dropout", "spikes"]

KINDS: Final[tuple[FaultKind, ...]] = ("standby", "creep", "stuck", "scale", "dropout", "spikes")
HOURS: Final[dict[FaultKind, tuple[float, float]]] = {
    "standby": (30.0, 66.0),
    "creep": (84.0, 156.0),
    "stuck": (4.0, 9.0),
    "scale": (54.0, 96.0),
    "dropout": (2.5, 6.0),
    "spikes": (14.0, 30.0),
}
"""How long a fault lasts, least and most, in hours."""
GROWTH: Final = (0.25, 0.40)
"""How much more a creeping meter shows at its end than it should."""
GROWTH_SEEN: Final = 0.05
"""Creep is labelled from here on: less is not to be seen by anybody."""
SCALE: Final = (0.20, 0.35)
STANDBY_OF_MEAN: Final = (0.12, 0.24)
"""What is left on draws this share of the meter's mean, whenever the plant is quiet."""
QUIET_OF_MEAN: Final = 0.25
"""The plant is quiet in an interval that takes less than this share of the meter's mean."""
SPIKES_AN_HOUR: Final = 0.45
SPIKE_OF_MEAN: Final = (0.35, 0.50)
SPIKE_OF_VALUE: Final = (0.8, 1.1)
"""A spike adds both of these: a share of the meter's mean, and of what the interval itself took."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: the rows from `first` to before `end`, of which `Injected.labels` marks those it changed."""

    kind: FaultKind
    first: int
    end: int
    strength: float


@dataclass(frozen=True, slots=True)
class Injected:
    """The rows with faults in them; for each row its label and its kind ("" where clean); the faults."""

    rows: Rows
    labels: NDArray[np.bool_]
    kinds: NDArray[np.str_]
    faults: tuple[Fault, ...]


def inject(
    rows: Rows, seed: int, *, each: int = 2, clean_share: float = 0.3, metric: str | None = None
) -> Injected:
    """Put `each` faults of every kind into the rows behind the first `clean_share` of them.

    The faults come in a drawn order, one in each of as many equal stretches of time, and never overlap.
    `metric` is the column to change; without it the first that ends in `_kwh` or `_kw`. The input is not
    changed; the same rows and seed give the same faults. Raises ValueError when there is no such column or
    a stretch is shorter than the longest fault.
    """
    column = _column(rows, metric)
    draw = np.random.default_rng(seed)
    order: list[FaultKind] = [KINDS[at] for at in draw.permutation(np.repeat(np.arange(len(KINDS)), each))]
    period_s = float(np.median(np.diff(rows.ts_s)))
    begin = int(np.ceil(clean_share * len(rows)))
    stretch = (len(rows) - begin) // len(order)
    longest = max(round(most * 3600.0 / period_s) for _, most in HOURS.values())
    if stretch <= longest:
        msg = (
            f"{len(rows)} rows leave {stretch} for each of {len(order)} faults, of which one takes up to "
            f"{longest}; give more rows or fewer faults of each kind"
        )
        raise ValueError(msg)
    values = rows.values.copy()
    labels, kinds = np.zeros(len(rows), dtype=bool), np.full(len(rows), "", dtype="<U8")
    mean = float(np.nanmean(values[:, column]))
    faults = []
    for at, kind in enumerate(order):
        length = round(draw.uniform(*HOURS[kind]) * 3600.0 / period_s)
        first = begin + at * stretch + int(draw.integers(0, stretch - length))
        span = slice(first, first + length)
        changed, touched, strength = _fault(kind, values[span, column], mean, period_s, draw)
        values[span, column] = changed
        labels[span] = touched
        kinds[span][touched] = kind
        faults.append(Fault(kind, first, first + length, strength))
    return Injected(Rows(rows.metrics, rows.ts_s, values), labels, kinds, tuple(faults))


def _column(rows: Rows, metric: str | None) -> int:
    if metric is not None and metric in rows.metrics:
        return rows.metrics.index(metric)
    found = [at for at, name in enumerate(rows.metrics) if name.endswith(("_kwh", "_kw"))]
    if metric is not None or not found:
        msg = f"there is no column {metric or 'that ends in _kwh or _kw'} in {', '.join(rows.metrics)}"
        raise ValueError(msg)
    return found[0]


def _fault(
    kind: FaultKind, clean: Floats, mean: float, period_s: float, draw: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_], float]:
    """Return the changed values, which of them are labelled, and how strong the fault is."""
    every = np.ones(len(clean), dtype=bool)
    if kind == "standby":
        strength = draw.uniform(*STANDBY_OF_MEAN)
        quiet = clean < QUIET_OF_MEAN * mean
        return np.where(quiet, clean + strength * mean, clean), quiet, strength
    if kind == "creep":
        strength = draw.uniform(*GROWTH)
        growth = np.linspace(0.0, strength, len(clean))
        return clean * (1.0 + growth), growth > GROWTH_SEEN, strength
    if kind == "scale":
        strength = draw.uniform(*SCALE)
        return clean * (1.0 + strength), every, strength
    if kind == "stuck":
        return np.full(len(clean), clean[0]), every, 0.0
    if kind == "dropout":
        return np.zeros(len(clean)), every, 0.0
    strength = draw.uniform(*SPIKE_OF_MEAN)
    hit = draw.random(len(clean)) < SPIKES_AN_HOUR * period_s / 3600.0
    hit[draw.integers(0, len(clean))] = True
    more = strength * mean + draw.uniform(*SPIKE_OF_VALUE) * clean
    return np.where(hit, clean + more, clean), hit, strength
