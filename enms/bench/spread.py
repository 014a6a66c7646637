"""Work spread over processes, beside an event loop that can be interrupted."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def processes_most(most: int) -> int:
    """Return how many processes to use: no more than there are processors."""
    return max(1, min(most, len(os.sched_getaffinity(0))))


async def spread(
    work: Callable[[Given], Made], items: Sequence[Given], processes: int
) -> AsyncGenerator[tuple[int, Made], None]:
    """Yield (number of the item, what `work` made of it) as they are done, in any order.

    Raises what the work raised. Whoever stops listening, or is cancelled, ends the processes at once.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Queue[tuple[int, Made | BaseException]]()

    def tell(number: int, found: Made | BaseException) -> None:
        loop.call_soon_threadsafe(done.put_nowait, (number, found))

    # Fresh interpreters: a fork would copy the threads and locks of this one.
    pool = multiprocessing.get_context("spawn").Pool(min(processes, max(1, len(items))), _quiet)
    try:
        for number, item in enumerate(items):
            heard = partial(tell, number)
            pool.apply_async(work, (item,), callback=heard, error_callback=heard)
        for _ in items:
            number, found = await done.get()
            if isinstance(found, BaseException):
                raise found
            yield number, found
    finally:
        pool.terminate()
        pool.join()


async def gathered(
    work: Callable[[Given], Made],
    items: Sequence[Given],
    processes: int,
    advance: Callable[[], None] = lambda: None,
) -> list[Made]:
    """Return what `work` made of each item, in their order; `advance` is called as each is done."""
    made: dict[int, Made] = {}
    async with aclosing(spread(work, items, processes)) as found:
        async for number, one in found:
            made[number] = one
            advance()
    return [made[number] for number in range(len(items))]


def _quiet() -> None:
    """Leave an interrupt to the process that started us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
