"""One connection's life: what was received on it, and what awaits an answer on it, ends with it."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

from broker.posting import Post, UserProperties, Window

Result = TypeVar("Result")


class LostConnectionError(ConnectionError):
    """The connection ended while a call was waiting for the broker's answer."""


class Connection:
    """One connection's life; what was received on it can be acknowledged only while it lasts."""

    def __init__(self, client: Any) -> None:
        self.client = client  # of aiomqtt, which `broker.bus` alone imports
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._windows: set[Window] = set()

    def close(self) -> None:
        """Let everybody know who waits for an answer that it will not come."""
        if not self.lost.done():
            self.lost.set_result(None)
        for window in self._windows:
            window.close()

    def ack(self, mid: int, qos: int) -> None:
        """Acknowledge a message that was received; nothing happens when the connection is over."""
        if not self.lost.done():
            self.client._client.ack(mid, qos)  # noqa: SLF001  aiomqtt has no manual acknowledgement

    async def call(self, call: Awaitable[Result]) -> Result:
        """Await a call to the broker, but no longer than the connection lasts."""
        task = asyncio.ensure_future(call)
        try:
            either: set[asyncio.Future[Any]] = {task, self.lost}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise LostConnectionError
            return task.result()
        finally:
            task.cancel()

    async def post(self, root: str, posts: Iterable[Post], at_once: int) -> None:
        """Publish in order, at most `at_once` unanswered; returns when the broker has answered all.

        Raises LostConnectionError when the connection ends before. Costs no task, future or event a message.
        """
        window = Window(at_once)
        self._windows.add(window)
        # aiomqtt calls `set` on what stands here when the broker has answered; its own publish puts an
        # event here and waits for it in two tasks a message, which costs more than the message.
        pending: dict[int, Any] = self.client._pending_publishes  # noqa: SLF001
        try:
            for post in posts:
                await window.room()
                if window.closed or self.lost.done():
                    raise LostConnectionError
                properties: Any = UserProperties(post.user) if post.user else None
                said = self.client._client.publish(  # noqa: SLF001
                    f"{root}/{post.topic}", post.payload, post.qos, post.retain, properties=properties
                )
                if said.rc:
                    raise LostConnectionError
                if post.qos:
                    pending[said.mid] = window
                    window.sent()
            await window.all_answered()
            if window.closed:
                raise LostConnectionError
        finally:
            self._windows.discard(window)
