"""What goes into the database and comes out of it, typed. Times are aware and in UTC."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from broker.messages import LatestValue, Machine, Rejected
from broker.telemetry import Number, Row, State


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A refusal. `source` is the machine, or empty where the topic named none."""

    source: str
    record: Rejected


@dataclass(frozen=True, slots=True)
class Redelivery:
    """What makes a session's untimed messages known again: packet ids, and a hash of each (64 bits, signed).

    `messages` is how many messages the batch had in all: what is remembered is counted in those.
    """

    session: str
    mids: Sequence[int]
    hashes: Sequence[int]
    messages: int


@dataclass(frozen=True, slots=True)
class NumberedBatch:
    """Numbers of messages of one client and boot that were committed together, in no order."""

    client: str
    boot: str
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SourceMark:
    """What is known to be in the database of a client's boot: all up to `seq`, and the stretches `above`.

    `above` holds first and last number of each stretch beyond a hole, in order. `ts` is when that was so.
    """

    client: str
    boot: str
    seq: int
    above: tuple[tuple[int, int], ...]
    ts: datetime


@dataclass(frozen=True, slots=True)
class Keeping:
    """For how many days readings and their minutes are kept (None: for ever), and when they are compressed.

    Only a database with TimescaleDB's full edition can compress.
    """

    samples_days: int | None = None
    minutes_days: int | None = None
    compress_after_days: int | None = 7


@dataclass(frozen=True, slots=True)
class Batch:
    """What is stored together, or not at all."""

    rows: list[Row] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    redelivery: Redelivery | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch: readings `stored`, readings that were there already, texts that changed."""

    stored: int
    doubled: int
    states_stored: int
    new_machines: tuple[str, ...]
    new_series: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the database holds of a machine's present. `last_seen` is when the last of it arrived."""

    machine: Machine
    values: dict[str, LatestValue]
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one machine, whose readings are `values[slot]` of the machine's samples."""

    id: int
    metric: str
    unit: str
    machine_id: int
    slot: int


@dataclass(frozen=True, slots=True)
class Point:
    """A reading, or what the readings of a bucket come to; `ts` is where the bucket begins."""

    ts: datetime
    low: float
    mean: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in. `role` is a word of `broker.roles.Role`."""

    name: str
    role: str
    password_hash: str = field(repr=False)
    created_at: datetime
    disabled: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in over HTTP that is still good."""

    token_hash: bytes = field(repr=False)
    account: str
    role: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class BrokerLogin:
    """A log-in to the broker made for a session, to be removed there when it expires."""

    username: str
    account: str
    token_hash: bytes | None = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what."""

    ts: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, str]
