"""Orders from the bus: read, carried out once, answered.

A retained order is nobody's wish of now and is ignored; one older than `EXPIRES` has no effect. The same
user's command id twice has one effect and one answer. Who commands is a level of the topic, which the broker
pins to the log-in, and the answer goes nowhere but to that user.
"""

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from broker.bus import Bus
from broker.channels import COMMAND, REPLY
from broker.messages import BadMessageError, Command, Fault, Reply, encode
from broker.stream import Delivery
from broker.topics import BadTopicError, CommandTopic, ReplyTopic

Scalar = str | float | bool | None
Arguments = Mapping[str, Scalar]
Result = dict[str, Any]
"""Of scalars, and of lists and dicts of them where a verb answers with columns."""

EXPIRES: Final = timedelta(seconds=30)
AT_ONCE: Final = 8
MOST_REPLY_BYTES: Final = 4 * 1024 * 1024
REMEMBERED: Final = 1000
REMEMBERED_BYTES: Final = 16 * 1024 * 1024
log = structlog.get_logger()


class CommandError(Exception):
    """A command that cannot be done. `code` is one of a few words, the text says what is possible."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants: the arguments of a verb, and when they were taken in hand."""

    user: str
    args: Arguments
    now: datetime


Verb = Callable[[Order], Result | Awaitable[Result]]
"""Carries out an order. Raises CommandError; a ValueError is answered as a bad argument."""


class Desk:
    """Carries out commands, without a bus."""

    def __init__(self, service: str, verbs: Mapping[str, Verb]) -> None:
        self._service = service
        self._verbs = verbs
        self._answers: OrderedDict[tuple[str, str], asyncio.Task[Reply]] = OrderedDict()
        self._sizes: dict[tuple[str, str], int] = {}

    async def answer(self, where: CommandTopic, command: Command, now: datetime) -> Reply:
        """Do what is ordered and return the reply; of a command done before, the reply it had then."""
        key = where.user, command.id
        task = self._answers.get(key)
        if task is None:
            order = Order(where.user, command.args, now)
            work = self._work(key, where.verb, command, order)
            task = self._answers[key] = asyncio.create_task(work, name=f"command {where.verb}")
        return await asyncio.shield(task)

    def close(self) -> None:
        """Stop what is being done."""
        for task in self._answers.values():
            task.cancel()

    async def _work(self, key: tuple[str, str], verb: str, command: Command, order: Order) -> Reply:
        try:
            reply = Reply(id=command.id, ok=True, result=await self._do(verb, command, order))
            if (size := len(encode(reply))) > MOST_REPLY_BYTES:
                text = f"the answer has {size} bytes, more than {MOST_REPLY_BYTES}; ask for less at once"
                reply, size = _refusal(command, "too_large", text), len(text)
        except CommandError as error:
            reply, size = _refusal(command, error.code, str(error)), len(str(error))
        except ValueError as error:
            reply, size = _refusal(command, "bad_argument", str(error)), len(str(error))
        except BaseException:
            del self._answers[key]
            raise
        self._remember(key, size)
        return reply

    async def _do(self, verb: str, command: Command, order: Order) -> Result:
        if command.sent_at is not None and order.now - command.sent_at > EXPIRES:
            age_s = (order.now - command.sent_at).total_seconds()
            text = f"sent {age_s:.0f} s ago, and an order is good for {EXPIRES.seconds} s; send it again"
            raise CommandError("expired", text)
        act = self._verbs.get(verb)
        if act is None:
            known = ", ".join(self._verbs)
            raise CommandError("unknown_verb", f"the {self._service} knows {known}, not {verb!a}")
        done = act(order)
        return await done if inspect.isawaitable(done) else done

    def _remember(self, key: tuple[str, str], size: int) -> None:
        """Keep an answer, and forget the oldest ones that are too many or too large."""
        self._sizes[key] = size
        while len(self._sizes) > REMEMBERED or sum(self._sizes.values()) > REMEMBERED_BYTES:
            oldest = next(iter(self._sizes))
            del self._sizes[oldest], self._answers[oldest]


def _refusal(command: Command, code: str, text: str) -> Reply:
    return Reply(id=command.id, ok=False, error=Fault(code=code, text=text))


class Commands:
    """The commands of one service on a bus. Make it before entering the bus."""

    def __init__(
        self,
        bus: Bus,
        service: str,
        verbs: Mapping[str, Verb],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._bus = bus
        self._desk = Desk(service, verbs)
        self._stream = bus.subscribe(COMMAND, service=service)
        self._now = now
        # An answer under way keeps its place, so that no more than these are in memory.
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Obey until cancelled, at most `AT_ONCE` orders at a time; they begin in the order they came."""
        try:
            async with asyncio.TaskGroup() as tasks:
                async for delivery in self._stream:
                    await self._room.acquire()
                    tasks.create_task(self._obey(delivery), name=f"order {delivery.topic}")
        finally:
            self._desk.close()

    async def _obey(self, delivery: Delivery) -> None:
        try:
            if delivery.retained:
                log.warning("a retained command is ignored", topic=delivery.topic)
                return
            try:
                where, command = delivery.read(COMMAND)
                answer_to = reply_topic(where.user, command, delivery, self._bus.address.root)
            except (BadTopicError, BadMessageError) as error:
                log.warning("a command cannot be answered", topic=delivery.topic, why=str(error))
                return
            reply = await self._desk.answer(where, command, self._now())
            log.info("command", user=where.user, verb=where.verb, ok=reply.ok)
            await self._bus.publish(REPLY, answer_to, reply, correlation=delivery.correlation)
        finally:
            self._room.release()


def reply_topic(user: str, command: Command, delivery: Delivery, root: str) -> ReplyTopic:
    """Return where the answer goes: where the command says, if that is the user's own, or by its id.

    The MQTT 5 response topic comes before `reply_to`, which may stand with or without the root. Raises
    BadTopicError where the id cannot be a topic level and nothing else was given.
    """
    given = (command.reply_to or "").removeprefix(f"{root}/")
    for topic in (delivery.response_topic, given):
        try:
            where = ReplyTopic.parse(topic)
        except BadTopicError:
            continue
        if where.user == user:
            return where
    return ReplyTopic(user, command.id)
