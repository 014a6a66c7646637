"""Plays a plan on the bus."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from broker.channels import ANNOUNCE, Channel
from broker.messages import Announce
from broker.topics import AnnounceTopic
from devices.replay.plan import Plan, Sending
from devices.sending import TelemetryOutbox, telemetry

AT_ONCE: Final = 200


class ReplayBus(Protocol):
    """What is needed of `broker.bus.Bus` to replay."""

    async def publish(
        self, channel: Channel[AnnounceTopic, Announce], where: AnnounceTopic, message: Announce
    ) -> None:
        """Publish; returns when the broker has it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is; `ts` is the published time of the last row in the outbox, `seq` its number."""

    sent: int
    total: int
    ts: datetime
    seq: int


OnProgress = Callable[[Progress], None]


async def replay(
    bus: ReplayBus, outbox: TelemetryOutbox, plan: Plan, on_progress: OnProgress | None = None
) -> int:
    """Put every row into the outbox when it is due; return how many when all are in it.

    Each is a message of its own. `on_progress` is called after rows went in. Bus and outbox are the caller's,
    as is what sends the one on the other.
    """
    if plan.announce.metrics:
        await bus.publish(ANNOUNCE, AnnounceTopic(plan.machine), plan.announce)
    begins_s = asyncio.get_running_loop().time()
    sent = 0
    while sent < len(plan.sendings):
        due = await _due(plan, sent, begins_s)
        seq = await outbox.put_all(telemetry((plan.machine, sending.body()) for sending in due))
        sent += len(due)
        if on_progress is not None:
            on_progress(Progress(sent, len(plan.sendings), due[-1].ts, seq))
    return sent


async def _due(plan: Plan, sent: int, begins_s: float) -> list[Sending]:
    """Wait until the next row is due and return all rows that are, at most AT_ONCE."""
    now = asyncio.get_running_loop().time
    await asyncio.sleep(max(0.0, begins_s + plan.sendings[sent].after_s - now()))
    played_s = max(now() - begins_s, plan.sendings[sent].after_s)
    due: list[Sending] = []
    for sending in plan.sendings[sent : sent + AT_ONCE]:
        if sending.after_s > played_s:
            break
        due.append(sending)
    return due
