"""What a message of telemetry holds, typed: rows of numbers, states, numbers of messages, refusals."""

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from broker.numbering import Number


class Row(msgspec.Struct, frozen=True, gc=False):
    """The numbers a machine gave for one time. `arrived` is when the message came; both aware, UTC.

    `metrics` has no name twice, and `values` is as long as `metrics`, all finite.
    """

    machine: str
    ts: datetime
    arrived: datetime
    metrics: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """One number. Its identity is (machine, metric, ts)."""

    machine: str
    metric: str
    ts: datetime
    value: float


@dataclass(frozen=True, slots=True)
class State:
    """One text, such as `operating_mode` = `idle`."""

    machine: str
    field: str
    ts: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message, or one `field` of it, was not taken. `reason` is one of a few words for counting."""

    reason: str
    text: str
    field: str | None = None


@dataclass(slots=True)
class Parsed:
    """What a message held. `machine` is empty where the topic names none that may exist.

    `untimed` says that a row or a state of it got the time of arrival for want of its own.
    """

    machine: str = ""
    rows: list[Row] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    untimed: bool = False

    @property
    def readings(self) -> list[Reading]:
        """The rows' numbers one by one, for those who want single readings."""
        return [
            Reading(row.machine, metric, row.ts, value)
            for row in self.rows
            for metric, value in zip(row.metrics, row.values, strict=True)
        ]

    def refuse(self, reason: str, text: str, name: str | None = None) -> None:
        """Note a refusal of the whole message, or of the field called `name`."""
        self.refusals.append(Refusal(reason, text, name))
