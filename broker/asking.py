"""Orders given to another service, and its answers: the other side of `broker.commands`."""

import asyncio
import uuid
from datetime import UTC, datetime

from broker.bus import Bus
from broker.channels import COMMAND, REPLY
from broker.commands import Arguments, Result
from broker.messages import BadMessageError, Command, Reply
from broker.topics import BadTopicError, CommandTopic


class RefusedError(Exception):
    """The service would not do what was ordered. `code` is one of a few words, the text says why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class NoAnswerError(TimeoutError):
    """The service did not answer in time: it is not running, or busy. Look at `service/<name>`, try again."""


class Asking:
    """Gives orders in the name of a bus's own user. Make it before entering the bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._stream = bus.subscribe(REPLY, user=bus.username)
        self._waiting: dict[str, asyncio.Future[Reply]] = {}

    async def run(self) -> None:
        """Hand out answers until cancelled."""
        async for delivery in self._stream:
            try:
                _, reply = delivery.read(REPLY)
            except (BadTopicError, BadMessageError):
                continue
            waiting = self._waiting.get(reply.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)

    async def ask(self, service: str, verb: str, args: Arguments, within_s: float) -> Result:
        """Give an order and return its result. Raises RefusedError, or NoAnswerError after `within_s`."""
        order = Command(id=uuid.uuid4().hex, args=dict(args), sent_at=datetime.now(UTC))
        waiting = self._waiting[order.id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                await self._bus.publish(COMMAND, CommandTopic(self._bus.username, service, verb), order)
                reply = await waiting
        except TimeoutError:
            text = f"the {service} did not answer within {within_s:g} s: is it running? Try again later"
            raise NoAnswerError(text) from None
        finally:
            del self._waiting[order.id]
        if reply.error is not None:
            raise RefusedError(reply.error.code, reply.error.text)
        result: Result = reply.result
        return result
