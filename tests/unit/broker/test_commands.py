import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from broker import commands
from broker.commands import CommandError, Desk, Order, Result, Verb, reply_topic
from broker.messages import Command, Reply
from broker.stream import Delivery
from broker.topics import BadTopicError, CommandTopic

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
WHERE = CommandTopic("erika", "oven", "heat")


class Oven:
    def __init__(self) -> None:
        self.heated = 0
        self.door = asyncio.Event()

    def desk(self) -> Desk:
        verbs: dict[str, Verb] = {"heat": self.heat, "bake": self.bake, "list": self.list}
        return Desk("oven", verbs)

    def heat(self, order: Order) -> Result:
        self.heated += 1
        return {"to_c": order.args["to_c"], "by": order.user}

    async def bake(self, _order: Order) -> Result:
        self.heated += 1
        await self.door.wait()
        if self.heated > 1:
            raise CommandError("burnt", "it is burnt")
        return {"rolls": self.heated}

    def list(self, order: Order) -> Result:
        rows = order.args["rows"]
        assert isinstance(rows, float)
        return {"columns": [{"name": "c", "values": [0.5] * int(rows)}]}


def order(name: str = "1", **args: str | float | bool) -> Command:
    return Command(id=name, args=dict(args))


async def test_an_order_is_carried_out_for_its_user() -> None:
    reply = await Oven().desk().answer(WHERE, order(to_c=180.0), NOW)
    assert reply == Reply(id="1", ok=True, result={"to_c": 180.0, "by": "erika"})


async def test_the_same_id_at_the_same_time_has_one_effect_and_one_answer() -> None:
    oven = Oven()
    desk = oven.desk()
    where = CommandTopic("erika", "oven", "bake")
    first, second = (asyncio.create_task(desk.answer(where, order(), NOW)) for _ in range(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    oven.door.set()
    assert await first == await second == Reply(id="1", ok=True, result={"rolls": 1})
    assert await desk.answer(where, order("2"), NOW) != await first


async def test_an_order_that_is_too_old_has_no_effect() -> None:
    oven = Oven()
    old = Command(id="1", args={"to_c": 180.0}, sent_at=NOW - timedelta(seconds=31))
    reply = await oven.desk().answer(WHERE, old, NOW)
    assert reply.error is not None
    assert reply.error.code == "expired"
    assert "send it again" in reply.error.text
    assert oven.heated == 0
    fresh = Command(id="2", args={"to_c": 180.0}, sent_at=NOW - timedelta(seconds=29))
    assert (await oven.desk().answer(WHERE, fresh, NOW)).ok


async def test_an_unknown_verb_is_answered_with_those_there_are() -> None:
    reply = await Oven().desk().answer(CommandTopic("erika", "oven", "freeze"), order(), NOW)
    assert reply.error is not None
    assert reply.error.code == "unknown_verb"
    assert "heat, bake, list" in reply.error.text


async def test_an_answer_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MOST_REPLY_BYTES", 1000)
    desk = Oven().desk()
    where = CommandTopic("erika", "oven", "list")
    assert (await desk.answer(where, order(rows=100.0), NOW)).ok
    reply = await desk.answer(where, order("2", rows=1000.0), NOW)
    assert reply.error is not None
    assert reply.error.code == "too_large"


async def test_answers_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "REMEMBERED_BYTES", 1000)
    desk = Oven().desk()
    where = CommandTopic("erika", "oven", "list")
    for number in range(20):
        await desk.answer(where, order(str(number), rows=50.0), NOW)
    assert sum(desk._sizes.values()) <= 1000
    assert len(desk._answers) == len(desk._sizes) < 20


async def test_a_handler_that_breaks_is_not_answered_and_not_remembered() -> None:
    desk = Oven().desk()
    with pytest.raises(KeyError):
        await desk.answer(WHERE, order(), NOW)
    assert not desk._answers


class NoConnection:
    def ack(self, mid: int, qos: int) -> None:
        raise AssertionError((mid, qos))


def arrived(response_topic: str = "") -> Delivery:
    return Delivery(
        topic="command/erika/oven/heat",
        payload=b"",
        retained=False,
        arrived=NOW,
        qos=0,
        mid=0,
        connection=NoConnection(),
        response_topic=response_topic,
    )


@pytest.mark.parametrize(
    ("response_topic", "reply_to", "answer_to"),
    [
        ("", None, "reply/erika/1"),
        ("reply/erika/mine", None, "reply/erika/mine"),
        ("", "enms/reply/erika/mine", "reply/erika/mine"),
        ("", "reply/erika/mine", "reply/erika/mine"),
        ("reply/erika/a", "reply/erika/b", "reply/erika/a"),
        ("reply/olga/mine", None, "reply/erika/1"),
        ("", "enms/alarm/press-7/x", "reply/erika/1"),
        ("", "enms/reply/olga/x", "reply/erika/1"),
        ("", "acme/reply/erika/x", "reply/erika/1"),
    ],
)
def test_an_answer_goes_to_its_user_and_nobody_else(
    response_topic: str, reply_to: str | None, answer_to: str
) -> None:
    command = Command(id="1", reply_to=reply_to)
    assert str(reply_topic("erika", command, arrived(response_topic), "enms")) == answer_to


def test_an_id_that_cannot_be_a_topic_needs_another_place_for_the_answer() -> None:
    command = Command(id="no topic/level")
    with pytest.raises(BadTopicError):
        reply_topic("erika", command, arrived(), "enms")
    assert str(reply_topic("erika", command, arrived("reply/erika/x"), "enms")) == "reply/erika/x"
