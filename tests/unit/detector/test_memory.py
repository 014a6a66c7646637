"""When refits are due, and that a machine known for long has them seldom."""

from dataclasses import replace

import numpy as np

from detector.memory import Memory
from detector.rows import Rows
from detector.tuning import Tuning

TUNING = replace(Tuning(), memory_rows=400, refit_rows=60)


def rows(count: int) -> Rows:
    return Rows(("a", "b"), np.arange(float(count)), np.zeros((count, 2)))


def due_rows(memory: Memory, slot: int, count: int, samples: int) -> list[int]:
    """After which of the next rows a refit is due, each adopted at once."""
    found = []
    for number in range(count):
        ts_s = np.array([1000.0 + number])
        for refit in memory.note(np.array([slot]), ts_s, np.zeros((1, 2)), np.array([True])):
            found.append(number)
            memory.adopt(slot, 1.0, 1.0, min(samples + number, len(refit.ts_s)))
    return found


def test_refits_come_the_more_seldom_the_longer_a_machine_is_known() -> None:
    memory = Memory(2, TUNING)
    memory.resize(1)
    memory.begin(0, rows(400), 1.0, 1.0, 400)
    due = due_rows(memory, 0, 4000, 400)
    apart = np.diff(due)
    assert apart[0] < 120
    assert apart[-1] > 300
    assert (np.diff(apart) >= 0).all()


def test_machines_that_begin_together_are_not_due_together() -> None:
    memory = Memory(2, TUNING)
    memory.resize(20)
    first = []
    for slot in range(20):
        memory.begin(slot, rows(400), 1.0, 1.0, 400)
        first.append(due_rows(memory, slot, 100, 400)[0])
    assert first[0] == 59
    assert len(set(first)) > 10
    assert max(first) <= 59 + 60 // 4
