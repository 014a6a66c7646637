"""The loop that rolls up, against a store that answers as told."""

import asyncio
from datetime import UTC, datetime
from typing import cast

from gateway.rollups import Roller
from gateway.store import RolledUp, RollerBusyError, Store, StoreUnavailableError

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


class Answers:
    """Takes rounds and gives one answer after the other; then it is full."""

    def __init__(self, *answers: RolledUp | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[datetime] = []
        self.empty = asyncio.Event()

    async def roll_up(self, now: datetime, most_slices: int) -> RolledUp:
        assert most_slices > 0
        self.asked.append(now)
        answer = self.answers.pop(0)
        if not self.answers:
            self.empty.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


def roller(answers: Answers) -> Roller:
    return Roller(cast("Store", answers), period_s=60, now=lambda: NOW)


async def test_while_work_is_left_it_goes_on_at_once() -> None:
    answers = Answers(RolledUp(more=True), RolledUp(more=True), RolledUp(minutes=1))
    running = asyncio.create_task(roller(answers).run())
    await asyncio.wait_for(answers.empty.wait(), 5)
    running.cancel()
    assert answers.asked == [NOW] * 3


async def test_a_database_that_is_away_is_no_end() -> None:
    answers = Answers(StoreUnavailableError("away"), RollerBusyError("busy"), RolledUp(minutes=2))
    one = roller(answers)
    await one.round()
    assert one.trouble == "away"
    await one.round()
    assert one.trouble == ""
    await one.round()
    assert one.last == RolledUp(minutes=2)
