"""What travels on the bus: frozen, typed, encoded as JSON. Dicts stop at the edge.

Times are RFC 3339 UTC with milliseconds on everything we publish. A field that has no value is
left out, never null. Telemetry itself is free-form and is read by `broker.telemetry`.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

Text = Annotated[str, Meta(max_length=1024)]
Metric = Annotated[str, Meta(max_length=64)]
Time = Annotated[datetime, Meta(tz=True)]


class BadMessageError(ValueError):
    """The payload is not what the channel carries; the message says where it differs."""


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The family of everything published as JSON."""


class MetricInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one metric: its unit, and the span its values may have."""

    unit: str
    min: float | None = None
    max: float | None = None


class Place(Struct, frozen=True, kw_only=True, omit_defaults=True):
    site: Text | None = None
    area: Text | None = None
    line: Text | None = None


class Status(Message, frozen=True, kw_only=True):
    """Whether a client is connected; `offline` is what its last will says.

    `boot` is that of a client which numbers its messages, and `first` the lowest number it can still send:
    what is below it and did not arrive will never come.
    """

    state: Literal["online", "offline"]
    boot: str | None = None
    first: int | None = None


class Announce(Message, frozen=True, kw_only=True):
    """What a machine says of itself."""

    name: Text | None = None
    type: Text | None = None
    place: Place | None = None
    metrics: dict[Metric, MetricInfo] = {}
    rated_power_kw: float | None = None
    parent: str | None = None


class Machine(Message, frozen=True, kw_only=True):
    """The machine as the gateway knows it."""

    machine: str
    name: str
    first_seen: Time
    type: str | None = None
    place: Place | None = None
    metrics: dict[str, MetricInfo] = {}
    rated_power_kw: float | None = None
    parent: str | None = None


class LatestValue(Struct, frozen=True, kw_only=True):
    """One metric's last value; a text is a state such as `operating_mode`."""

    ts: Time
    value: float | str


class Latest(Message, frozen=True, kw_only=True):
    """The last value of every metric, each with its own time; never a time in the future."""

    machine: str
    values: dict[str, LatestValue]


class ExpectedMetric(Struct, frozen=True, kw_only=True):
    """What the model expects a metric to be, in the metric's own unit; `score` is 1 at the threshold."""

    expected: float
    low: float
    high: float
    score: float


class Expected(Message, frozen=True, kw_only=True):
    machine: str
    ts: Time
    operating_state: str
    score: float
    metrics: dict[str, ExpectedMetric] = {}


HealthState = Literal["ok", "stale", "offline", "bad_data"]
ServiceState = Literal["starting", "ok", "degraded", "stopped", "lost"]


class Health(Message, frozen=True, kw_only=True):
    """How a machine's data arrives. `clock_skew_s` is device time minus arrival time.

    `missed` counts messages that never came, seen as holes in the machine's own steady rhythm, since the
    gateway started.
    """

    machine: str
    state: HealthState
    last_seen: Time
    rejected: int
    clock_skew_s: float
    missed: int
    period_s: float | None = None


Severity = Literal["info", "warning", "critical"]
AnomalyType = Literal[
    "spike",
    "level_shift",
    "drift",
    "stuck_sensor",
    "missing_data",
    "out_of_range",
    "standby_waste",
    "pattern",
    "multivariate",
]


class Contributor(Struct, frozen=True, kw_only=True):
    """`share` is 0..1; the shares of one event add up to 1."""

    metric: str
    share: float


class Deviation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`absolute` in the metric's unit, `pct` of the expected value: left out for 0, and for °C and °F."""

    absolute: float
    sigma: float
    pct: float | None = None


class ModelRef(Struct, frozen=True, kw_only=True):
    name: str
    version: str


class Anomaly(Message, frozen=True, kw_only=True):
    """One event of an episode. `anomaly_id` is the same for every event of it and for every rerun.

    `score` is 1 at `threshold` = 1; `low` and `high` are the band in the metric's unit.
    """

    anomaly_id: str
    phase: Literal["opened", "updated", "closed"]
    machine: str
    machine_name: str
    metric: str
    value: float
    expected: float
    low: float
    high: float
    deviation: Deviation
    score: float
    threshold: float
    severity: Severity
    anomaly_type: AnomalyType
    operating_state: str
    contributors: tuple[Contributor, ...]
    started_at: Time
    duration_s: float
    model: ModelRef
    ts: Time
    published_at: Time
    excess_kwh: float | None = None
    cost: float | None = None


class Alarm(Message, frozen=True, kw_only=True):
    machine: str
    code: str
    state: Literal["unacknowledged", "acknowledged", "returned", "shelved", "suppressed", "out_of_service"]
    priority: Literal["low", "medium", "high", "critical"]
    text: str
    first_at: Time
    last_at: Time
    occurrences: int
    anomaly_id: str | None = None
    shelved_until: Time | None = None


class Training(Message, frozen=True, kw_only=True):
    """The current or last job. `progress` is 0..100 as work done; `seq` orders the messages of a job."""

    job_id: str
    machine: str
    model: str
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    stage: str
    progress: float
    seq: int
    updated_at: Time
    eta_s: float | None = None
    metrics: dict[str, float] = {}
    error: str | None = None


class ModelCard(Message, frozen=True, kw_only=True):
    """The model in service. `why` says in a sentence why it is of this kind."""

    machine: str
    model: str
    version: str
    kind: str
    trained_from: Time
    trained_to: Time
    trained_at: Time
    samples: int
    features: tuple[str, ...]
    metrics: dict[str, float] = {}
    valid_range: dict[str, tuple[float, float]] = {}
    why: str | None = None
    drift: float | None = None


class Kpi(Message, frozen=True, kw_only=True):
    machine: str
    kpi: str
    window: str
    value: float
    unit: str
    ts: Time
    baseline: float | None = None
    deviation_pct: float | None = None


class Service(Message, frozen=True, kw_only=True):
    """A service of ours; `lost` is what its last will says."""

    state: ServiceState
    version: str
    started: Time
    dependencies: dict[str, str] = {}


class SystemAlert(Message, frozen=True, kw_only=True):
    alert_type: str
    severity: Severity
    message: str
    ts: Time
    details: dict[str, str] = {}


class Counters(Message, frozen=True, kw_only=True):
    """Counters since the service started."""

    ts: Time
    counters: dict[str, float]


class Percentiles(Struct, frozen=True, kw_only=True):
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Performance(Message, frozen=True, kw_only=True):
    """Latency of each hop over the last minute."""

    ts: Time
    hops: dict[str, Percentiles]


class Scoring(Message, frozen=True, kw_only=True):
    """How the detector keeps up. Counts are since its start, `hops` are of the last minute.

    `machines` have a model in service; `oldest_ms` is how long the oldest row that waits has been there.
    """

    ts: Time
    machines: int
    rows: int
    unscored: int
    opened: int
    refits: int
    refits_waiting: int
    oldest_ms: float
    hops: dict[str, Percentiles] = {}


class Breakers(Message, frozen=True, kw_only=True):
    """State of each dependency: `ok`, or what is wrong with it."""

    ts: Time
    dependencies: dict[str, str]


class Rejected(Message, frozen=True, kw_only=True):
    """Why a message, or one field of it, was refused. `head` is the first 1 KiB, escaped."""

    reason: str
    text: str
    topic: str
    head: str
    size_bytes: int
    ts: Time
    count: int = 1
    field: str | None = None


class Say(Message, frozen=True, kw_only=True):
    text: str
    priority: Literal["low", "medium", "high", "critical"]
    dedupe: str
    expires_at: Time
    alarm: str | None = None


class Command(Message, frozen=True, kw_only=True):
    """`id` makes it idempotent; `args` belong to the verb; `reply_to` is for MQTT 3.1.1 clients."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    args: dict[str, str | float | bool | None] = {}
    reply_to: str | None = None
    sent_at: Time | None = None


class Fault(Struct, frozen=True, kw_only=True):
    code: str
    text: str


class Reply(Message, frozen=True, kw_only=True):
    """The answer to a command. What stands in `result` belongs to the verb; columns are lists."""

    id: str
    ok: bool
    result: dict[str, Any] = {}
    error: Fault | None = None


class Committed(Message, frozen=True, kw_only=True):
    """Everything the client sent up to `seq` of `boot` is in the database."""

    boot: str
    seq: int
    ts: Time


AnyMessage = TypeVar("AnyMessage", bound=Message)


_encoder = msgspec.json.Encoder()
# msgspec writes as many digits as it needs; the contract is three, always.
# A whole string is matched, from its opening quote, so that a text in which a time stands is left alone.
# The end is looked for first, and what is before it then: `Z"` is rare, so this takes a quarter of the time.
_TIME = rb'(?<!\\)"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'
_MICROSECONDS = re.compile(rb'Z"(?<=' + _TIME + rb'\.\d{6}Z")')
_SECONDS = re.compile(rb'Z"(?<=' + _TIME + rb'Z")')


def encode(message: object) -> bytes:
    """Encode a message, or a list or dict of them, as JSON with times in milliseconds.

    Datetimes must be aware and in UTC. A text that is such a time, and nothing else, is written as one.
    """
    text = _encoder.encode(message)
    parts = _MICROSECONDS.split(text)
    cut = len(parts) - 1
    if cut:
        rest = parts.pop()
        text = b'Z"'.join([part[:-3] for part in parts]) + b'Z"' + rest
    return text if text.count(b'Z"') == cut else _SECONDS.sub(b'.000Z"', text)


def decode(kind: type[AnyMessage], payload: bytes) -> AnyMessage:
    """Decode JSON into `kind`; unknown fields are ignored.

    Raises BadMessageError naming the field that differs.
    """
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessageError(str(error)) from error
