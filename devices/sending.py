"""From bodies to numbered telemetry in an outbox."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from broker.channels import TELEMETRY, Channel, Telemetry
from broker.messages import encode
from broker.topics import TelemetryTopic
from devices.factory import Row

Tick = Mapping[str, Row]
"""One row of every machine."""

Numbered = tuple[Channel[TelemetryTopic, Telemetry], TelemetryTopic, bytes]

ROWS_A_MESSAGE: Final = 60


class TelemetryOutbox(Protocol):
    """What is needed of `broker.outbox.Outbox` to send telemetry."""

    async def put_all(self, messages: Iterable[Numbered]) -> int:
        """Keep messages to be published; returns the last one's number when all are in the file."""


def telemetry(messages: Iterable[tuple[str, object]]) -> Iterator[Numbered]:
    """Return each (machine, body) as an outbox takes it."""
    for machine, body in messages:
        yield TELEMETRY, TelemetryTopic(machine), encode(body)


def bodies(ticks: Sequence[Tick]) -> Iterator[tuple[str, object]]:
    """Return one message a machine: its row, or the list of its rows, oldest first, where there are more."""
    for machine in ticks[0]:
        rows = [tick[machine].body() for tick in ticks]
        yield machine, rows[0] if len(rows) == 1 else rows
