"""Machines to learn from and to score: normal ones, the same for the same seed, later ones in the future."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detector.rows import Floats, Rows

WEEK_ROWS = 7 * 96
MONDAY_S = 4 * 86_400.0
"""1970-01-05."""


@dataclass(frozen=True)
class Maker:
    """`make(count, seed, first)` gives normal rows from row `first` on; `train` rows suffice to learn."""

    make: Callable[[int, int, int], Rows]
    train: int
    ask: int
    period_s: float


def machine(count: int, seed: int, first: int = 0) -> Rows:
    """A row a second: a load drives three metrics, the fourth hardly moves."""
    noise, at = np.random.default_rng(seed), first + np.arange(count)
    load = np.sin(at / 40.0) + 0.1 * noise.standard_normal(count)
    columns = [
        40.0 + 10.0 * load + 0.3 * noise.standard_normal(count),
        20.0 + 5.0 * load + 0.2 * noise.standard_normal(count),
        7.0 - 0.5 * load + 0.02 * noise.standard_normal(count),
        230.0 + 0.1 * noise.standard_normal(count),
    ]
    metrics = ("current_a", "power_kw", "pressure_bar", "voltage_v")
    return Rows(metrics, MONDAY_S + at.astype(np.float64), np.stack(columns, axis=1))


def shifts(count: int, seed: int, first: int = 0) -> Rows:
    """A row a minute: five hours of work and five of rest in turn."""
    noise, at = np.random.default_rng(seed), first + np.arange(count)
    load = (at // 300 % 2 == 0) * (1.0 + 0.05 * np.sin(at / 31.0))
    power = 1.0 + 50.0 * load + 0.2 * noise.standard_normal(count)
    current = 1.9 * power + 0.3 * noise.standard_normal(count)
    flow = 2.0 + 8.0 * load + 0.1 * noise.standard_normal(count)
    values = np.stack([current, flow, power], axis=1)
    return Rows(("current_a", "flow_m3h", "power_kw"), MONDAY_S + 60.0 * at, values)


def meter(count: int, seed: int, first: int = 0) -> Rows:
    """A quarter-hourly meter: full on working days from six to six, a base load otherwise."""
    noise, at = np.random.default_rng(seed), first + np.arange(count)
    hour, day = at % 96 / 4.0, at // 96 % 7
    works = (hour >= 6.0) & (hour < 18.0) & (day < 5)
    used = 5.0 + 45.0 * works + (0.3 + 2.0 * works) * noise.standard_normal(count)
    return Rows(("energy_kwh",), MONDAY_S + 900.0 * at, used[:, None])


def channel(count: int, seed: int, first: int = 0) -> Rows:
    """One temperature every five minutes, with the time of day and a slow wandering in it."""
    noise, at = np.random.default_rng(seed), first + np.arange(count)
    measured = 60.0 + 4.0 * np.sin(2.0 * np.pi * at / 288.0) + 0.4 * noise.standard_normal(count)
    return Rows(("temperature_c",), MONDAY_S + 300.0 * at, measured[:, None])


def fast_channel(count: int, seed: int, first: int = 0) -> Rows:
    """One vibration a second."""
    noise, at = np.random.default_rng(seed), first + np.arange(count)
    measured = 2.0 + 0.2 * np.sin(at / 60.0) + 0.1 * noise.standard_normal(count)
    return Rows(("vibration_mm_s",), MONDAY_S + at.astype(np.float64), measured[:, None])


MAKERS = {
    "machine": Maker(machine, 800, 160, 1.0),
    "shifts": Maker(shifts, 3000, 420, 60.0),
    "meter": Maker(meter, 4 * WEEK_ROWS, 2 * 96, 900.0),
    "channel": Maker(channel, 10 * 288, 200, 300.0),
    "fast_channel": Maker(fast_channel, 800, 160, 1.0),
}


def changed(rows: Rows, first: int, column: int, to: Callable[[Floats], Floats]) -> Rows:
    """Return the rows with the values of a column from `first` on put through `to`."""
    values = rows.values.copy()
    values[first:, column] = to(values[first:, column])
    return Rows(rows.metrics, rows.ts_s, values)


def joined(earlier: Rows, later: Rows) -> Rows:
    """Return both, one after the other."""
    return Rows(
        earlier.metrics,
        np.concatenate([earlier.ts_s, later.ts_s]),
        np.concatenate([earlier.values, later.values]),
    )
