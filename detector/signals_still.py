"""How long each metric stood still in training, and what else moved then."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.rows import Floats, Rows

Bools = NDArray[np.bool_]
GATES: Final = 3
GATE_MOVES_LEAST: Final = 0.05
GATE_TELLS: Final = 2.0
GATE_TELLS_BY: Final = 0.2
INSIDE, AT_END = 0, 1


@dataclass(frozen=True, slots=True)
class Still:
    """What training showed of standing still; the first axis is the metric.

    `changes` counts how often it changed. `still_rows`, `still_s` (metrics, 2) are its longest run without a
    change, inside its range and at either end of it: zero, or full scale, where many a metric rests.
    `gates` (metrics, 3) are the columns of others without whose moving it does not move either, -1 where
    there are none: a run counts only rows in which all of them move, within `gate_low` to `gate_high`.
    """

    changes: Floats
    still_rows: Floats
    still_s: Floats
    gates: NDArray[np.int64]
    gate_low: Floats
    gate_high: Floats


def still(rows: Rows, gap_s: float) -> Still:
    """Learn from rows in order of time; rows more than `gap_s` apart say nothing of each other."""
    count = len(rows.metrics)
    learnt = Still(
        np.zeros(count),
        np.zeros((count, 2)),
        np.zeros((count, 2)),
        np.full((count, GATES), -1, np.int64),
        np.full((count, GATES), np.nan),
        np.full((count, GATES), np.nan),
    )
    if len(rows) < 2:  # noqa: PLR2004
        return learnt
    passed_s = np.diff(rows.ts_s)
    near = passed_s <= gap_s
    moved, known = moves(rows.values)
    moved, known = moved & near[:, None], known & near[:, None]
    learnt.changes[:] = moved.sum(axis=0)
    for metric in range(count):
        _gates(learnt, metric, rows.values[1:], moved, known)
        counted = moving(rows.values[1:], moved, learnt, metric) & near & known[:, metric]
        _runs(learnt, metric, rows.values[:, metric], counted, np.where(near, passed_s, 0.0))
    return learnt


def moves(values: Floats) -> tuple[Bools, Bools]:
    """Return which metrics came with another value than they last had, and for which that can be said.

    Both are (n - 1, metrics): of the rows after the first.
    """
    there = np.isfinite(values)
    last = np.maximum.accumulate(np.where(there, np.arange(len(values))[:, None], -1), axis=0)[:-1]
    known = there[1:] & (last >= 0)
    before = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    return known & (values[1:] != before), known


def moving(values: Floats, moved: Bools, learnt: Still, metric: int) -> Bools:
    """Return for each row (n) whether all gates of a metric move, and as they do when it moves too."""
    ok = np.ones(len(values), bool)
    for gate, low, high in zip(
        learnt.gates[metric], learnt.gate_low[metric], learnt.gate_high[metric], strict=True
    ):
        if gate >= 0:
            ok &= moved[:, gate] & (values[:, gate] >= low) & (values[:, gate] <= high)
    return ok


def _gates(learnt: Still, metric: int, values: Floats, moved: Bools, known: Bools) -> None:
    """Find the metrics that tell best when this one moves."""
    found: list[tuple[float, int]] = []
    for other in range(values.shape[1]):
        told = known[:, metric] & known[:, other]
        with_other, rests = told & moved[:, other], told & ~moved[:, other]
        least = max(1.0, GATE_MOVES_LEAST * told.sum())
        if other == metric or with_other.sum() < least or rests.sum() < least:
            continue
        with_it, without = moved[with_other, metric].mean(), moved[rests, metric].mean()
        if with_it > GATE_TELLS * without and with_it - without > GATE_TELLS_BY:
            found.append((float(with_it - without), other))
    for at, (_, other) in enumerate(sorted(found, key=lambda one: (-one[0], one[1]))[:GATES]):
        usual = values[moved[:, metric] & moved[:, other], other]
        learnt.gates[metric, at] = other
        learnt.gate_low[metric, at], learnt.gate_high[metric, at] = np.quantile(usual, [0.01, 0.99])


def _runs(learnt: Still, metric: int, values: Floats, counted: Bools, passed_s: Floats) -> None:
    """Find the longest runs of a metric in counted rows; rows without a value do not end a run."""
    at = np.flatnonzero(np.isfinite(values))
    if len(at) < 2:  # noqa: PLR2004
        return
    held = values[at]
    begins = np.flatnonzero(np.concatenate([[True], held[1:] != held[:-1]]))
    ends = np.append(begins[1:], len(held)) - 1
    rows = np.concatenate([[0.0], np.cumsum(counted)])
    seconds = np.concatenate([[0.0], np.cumsum(np.where(counted, passed_s, 0.0))])
    run_rows = rows[at[ends]] - rows[at[begins]]
    run_s = seconds[at[ends]] - seconds[at[begins]]
    lasting = np.isin(held[begins], (held.min(), held.max()))
    for place, those in ((INSIDE, ~lasting), (AT_END, np.ones(len(begins), bool))):
        learnt.still_rows[metric, place] = run_rows[those].max(initial=0.0)
        learnt.still_s[metric, place] = run_s[those].max(initial=0.0)
