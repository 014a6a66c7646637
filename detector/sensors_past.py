"""What the sensors of a machine have shown already when it is taken in: one pass over its last rows."""

import numpy as np

from detector.rows import Rows
from detector.sensors_table import Bools, Table
from detector.signals import SignalFacts
from detector.signals_still import moves, moving


def fill(table: Table, slot: int, facts: SignalFacts, past: Rows) -> None:
    """Leave a slot as it would be had these raw rows, in order of time, come without any trouble."""
    if not len(past):
        return
    raw, sane = past.of(facts.metrics).values, facts.sane(past).values
    ts_s = past.ts_s
    passed_s = np.diff(ts_s)
    near = passed_s <= facts.gap_s
    moved, known = moves(sane)
    steps_s = np.where(near, passed_s, 0.0)
    came: Bools = np.isfinite(raw)
    others: Bools = np.any(came[1:], axis=1)
    for metric in range(len(facts.metrics)):
        last_came = int(np.flatnonzero(came[:, metric])[-1]) if came[:, metric].any() else 0
        table.absent_s[slot, metric] = steps_s[last_came:][others[last_came:]].sum()
        there = np.flatnonzero(np.isfinite(sane[:, metric]))
        if not len(there):
            continue
        changes = np.flatnonzero(moved[:, metric]) + 1
        begun = int(changes[-1]) if len(changes) else int(there[0])
        counted = (moving(sane[1:], moved, facts.still, metric) & near & known[:, metric])[begun:]
        table.last[slot, metric] = sane[there[-1], metric]
        table.run_since_s[slot, metric] = ts_s[begun]
        table.run_rows[slot, metric] = counted.sum()
        table.run_s[slot, metric] = steps_s[begun:][counted].sum()
    table.last_s[slot] = ts_s[-1]
