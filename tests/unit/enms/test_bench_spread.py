"""Work spread over processes comes back in order, and its errors come back too."""

import multiprocessing
import time

import pytest

from enms.bench.spread import gathered, processes_most, spread


async def test_what_was_made_comes_in_the_order_of_what_was_given() -> None:
    done: list[None] = []
    assert await gathered(abs, [-3, 2, -1, 0], 2, lambda: done.append(None)) == [3, 2, 1, 0]
    assert len(done) == 4


async def test_nothing_to_do_is_done_at_once() -> None:
    assert await gathered(abs, [], 2) == []


async def test_an_error_of_the_work_is_raised_and_the_processes_end() -> None:
    with pytest.raises(ValueError, match="'many'"):
        await gathered(int, ["1", "many", "3"], 2)
    assert multiprocessing.active_children() == []


async def test_who_stops_listening_does_not_wait_for_the_rest() -> None:
    began = time.monotonic()
    working = spread(time.sleep, [0.0, 600.0], 2)
    assert await anext(working) == (0, None)
    await working.aclose()
    assert time.monotonic() - began < 60
    assert multiprocessing.active_children() == []


def test_there_are_no_more_processes_than_processors() -> None:
    assert 1 <= processes_most(10_000) < 10_000
    assert processes_most(1) == 1
