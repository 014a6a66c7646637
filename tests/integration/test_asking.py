"""Orders from one service to another, over the real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from fixtures.broker import PrivateBroker

from broker.asking import Asking, NoAnswerError, RefusedError
from broker.commands import Commands, Order, Result


def double(order: Order) -> Result:
    number = order.args.get("number")
    if not isinstance(number, (int, float)):
        msg = "number must be a number"
        raise ValueError(msg)  # noqa: TRY004  a desk answers ValueError as a bad argument
    return {"double": 2 * number, "user": order.user}


async def sleep(_: Order) -> Result:
    await asyncio.sleep(60)
    return {}


@pytest.fixture
async def asking(broker: PrivateBroker) -> AsyncIterator[Asking]:
    ours, theirs = broker.bus("gateway"), broker.bus("detector", service="detector", version="1")
    orders = Asking(ours)
    commands = Commands(theirs, "detector", {"double": double, "sleep": sleep})
    async with theirs, ours:
        await asyncio.wait_for(asyncio.gather(ours.wait_connected(), theirs.wait_connected()), 10)
        tasks = [asyncio.create_task(commands.run()), asyncio.create_task(orders.run())]
        yield orders
        for task in tasks:
            assert not task.done(), task
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_an_order_comes_back_with_its_own_answer(asking: Asking) -> None:
    answers = await asyncio.gather(*(asking.ask("detector", "double", {"number": n}, 10) for n in range(20)))
    assert [one["double"] for one in answers] == [2 * n for n in range(20)]
    assert {one["user"] for one in answers} == {"gateway"}


async def test_a_refusal_says_why(asking: Asking) -> None:
    with pytest.raises(RefusedError, match="number must be a number") as refused:
        await asking.ask("detector", "double", {"number": "two"}, 10)
    assert refused.value.code == "bad_argument"
    with pytest.raises(RefusedError, match="knows double, sleep"):
        await asking.ask("detector", "halve", {}, 10)


async def test_who_does_not_answer_is_not_waited_for(asking: Asking) -> None:
    with pytest.raises(NoAnswerError, match=r"did not answer within 0\.3 s"):
        await asking.ask("detector", "sleep", {}, 0.3)
    assert (await asking.ask("detector", "double", {"number": 1}, 10))["double"] == 2
