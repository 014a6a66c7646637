"""Refits beside live scoring: made when due, adopted when their time has come, stored once they serve."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from detector.fleet import Fleet, Start
from detector.lot import Scored
from detector.refitting import Refitter
from detector.rows import Rows
from detector.store import ModelStore, Stored
from detector.training import card, fit
from detector.tuning import Tuning

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
TUNING = Tuning(left_out_windows=1.0)
METRICS = ("current_a", "power_kw")


def rows(count: int) -> Rows:
    noise = np.random.default_rng(0).standard_normal((count, 2))
    return Rows(METRICS, np.arange(float(count)), noise + np.array([70.0, 40.0]))


async def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20.0
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_refit_serves_when_its_time_has_come_and_is_then_stored(tmp_path: Path) -> None:
    learnt = fit(rows(300), TUNING)
    store, fleet = ModelStore(tmp_path), Fleet(TUNING, refit_at_once=False)
    made = card("press-7", "1", learnt.model, learnt.used, NOW)
    store.save(Stored(learnt.model, learnt.facts, made, 300, NOW.timestamp()), learnt.used)
    fleet.serve("press-7", Start(learnt.model, "1", learnt.facts, rows(300).cut(260), learnt.used))
    refitter, more = Refitter(store, fleet, TUNING), rows(1000)
    lot, slot = fleet.place("press-7") or (None, 0)
    assert lot is not None

    def push(at: int) -> Scored:
        return fleet.push_lot(lot, np.array([slot]), more.ts_s[at : at + 1], more.values[at : at + 1])

    running = asyncio.create_task(refitter.run())
    try:
        pushed = [push(at) for at in range(300, 360)]
        due = [one for each in pushed for one in each.due]
        assert len(due) == 1
        refitter.add(due, [])
        assert refitter.waiting == 1
        served = fleet.served("press-7")
        await until(lambda: served.refitted is not None)
        adopt_s = due[0][1].adopt_s
        early = [push(at) for at in range(360, int(adopt_s))]
        assert not any(one.adopted for one in early)
        ((adopted, from_s),) = push(int(adopt_s)).adopted
        assert (adopted.named_version, from_s) == ("1.1", adopt_s)
        refitter.add([], [(adopted, from_s)])
        await until((tmp_path / "press-7" / "1.1").is_dir)
    finally:
        running.cancel()
    stored = store.load("press-7")
    assert stored is not None
    assert (stored.refits, stored.from_s) == (1, adopt_s)
    assert stored.model.samples == served.model.samples > learnt.model.samples
    assert len(store.memory("press-7", METRICS)) > 300


async def test_what_cannot_be_refitted_serves_on_and_is_tried_again_later() -> None:
    learnt, tuning = fit(rows(300), TUNING), Tuning(left_out_windows=2.0)
    fleet = Fleet(tuning, refit_at_once=False)
    fleet.serve("press-7", Start(learnt.model, "1", learnt.facts, rows(300).cut(260), learnt.used.cut(0, 3)))
    served, more, refitter = (
        fleet.served("press-7"),
        rows(1000),
        Refitter(ModelStore(Path("x")), fleet, tuning),
    )
    lot, slot = fleet.place("press-7") or (None, 0)
    assert lot is not None
    running = asyncio.create_task(refitter.run())
    try:
        for tried in range(2):
            first = 300 + 60 * tried
            for at in range(first, first + 60):
                scored = lot.push(np.array([slot]), more.ts_s[at : at + 1], more.values[at : at + 1])
            refitter.add(scored.due, [])
            assert refitter.waiting == 1
            await until(lambda: served.refit is None or served.refitted is not None)
            assert (served.refit is None) == (tried == 0), "too few rows at first, then enough"
        assert served.model is learnt.model
    finally:
        running.cancel()
