"""Publish many telemetry messages with a bounded number under way."""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

from broker.channels import TELEMETRY, Channel, Telemetry
from broker.topics import TelemetryTopic

AT_ONCE: Final = 200
"""How many messages may await the broker's acknowledgement."""


class TelemetryBus(Protocol):
    """What is needed of `broker.bus.Bus` to publish telemetry."""

    async def send(
        self, channel: Channel[TelemetryTopic, Telemetry], where: TelemetryTopic, body: object
    ) -> None:
        """Publish; returns when the broker has it."""


async def send_all(bus: TelemetryBus, messages: Iterable[tuple[str, object]], at_once: int = AT_ONCE) -> int:
    """Publish each (machine, body) in order; return how many when the broker has all of them.

    While the broker is away this waits. `messages` is asked for the next only when there is room for it.
    """
    room = asyncio.Semaphore(at_once)
    count = 0
    async with asyncio.TaskGroup() as group:
        for machine, body in messages:
            await room.acquire()
            task = group.create_task(bus.send(TELEMETRY, TelemetryTopic(machine), body))
            task.add_done_callback(lambda _: room.release())
            count += 1
    return count
