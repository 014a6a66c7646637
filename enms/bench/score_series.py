"""Machines for the scoring benchmark: in each of them metrics depend on each other in another way."""

from typing import Final

import numpy as np

from detector.rows import Rows

METRICS: Final = ("current_a", "power_kw", "pressure_bar", "temperature_c", "vibration_mm_s")
LEARN_ROWS: Final = 400
_HIDDEN: Final = 2
_START_S: Final = 1_772_625_600.0


def series(machine: int, rows: int) -> Rows:
    """Return the first rows of a machine, one a second; the same for the same machine and number.

    Two hidden movements (waves of the machine's own lengths) reach every metric in the machine's own
    strength, and every reading has noise. Nothing is missing, and nothing is wrong.
    """
    draw = np.random.default_rng(machine)
    reach = draw.normal(size=(_HIDDEN, len(METRICS)))
    lengths_s, phases = draw.uniform(20.0, 400.0, (3, _HIDDEN)), draw.uniform(0.0, 2 * np.pi, (3, _HIDDEN))
    middle, size = draw.uniform(10.0, 500.0, len(METRICS)), draw.uniform(0.5, 5.0, len(METRICS))
    noise = draw.uniform(0.05, 0.5)
    seconds = np.arange(rows, dtype=np.float64)
    hidden = np.sin(2 * np.pi * seconds[:, None, None] / lengths_s + phases).sum(axis=1)
    readings = hidden @ reach + noise * draw.normal(size=(rows, len(METRICS)))
    offset_s = (machine % 1000) / 1000
    return Rows(METRICS, _START_S + offset_s + seconds, middle + size * readings)
