"""THE table: one row a channel. All that is said of a topic elsewhere is generated from here.

`python -m broker.generate` writes Mosquitto's roles, the AsyncAPI document, the JSON Schemas, the
TypeScript types of the page and the topic page of the docs; a test fails when one of them is stale.
"""

from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from broker import messages as m
from broker import topics as t
from broker.roles import LISTENERS, OWN, PEOPLE, Grant, Role, every

Where = TypeVar("Where", bound=t.Topic)
What = TypeVar("What")


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Marks the free-form channels, whose payloads `broker.telemetry` reads."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """Marks replayed messages: each is what the original channel carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel(Generic[Where, What]):
    """One row. `expiry_s` is how long the broker may keep a message nobody took (MQTT 5)."""

    topic: type[Where]
    message: type[What]
    qos: Literal[0, 1]
    retain: bool
    writers: tuple[Grant, ...]
    readers: tuple[Grant, ...]
    text: str
    expiry_s: int | None = None
    plain: tuple[str, ...] = ()
    """Payloads that stand for a message as bare text, for clients that cannot write JSON."""

    @property
    def name(self) -> str:
        """The first level, or the first two where a first level holds several channels."""
        levels = self.topic.pattern.split("/")
        fixed = [level for level in levels if not level.startswith(("<", "#"))]
        return "/".join(fixed)


_SERVICES: Final = (Role.GATEWAY, Role.DETECTOR, Role.SIMULATOR)
_COMMANDERS: Final = (
    *every(Role.OPERATOR, user=OWN, service="alarms"),
    *every(Role.OPERATOR, Role.ENGINEER, Role.FLOWS, user=OWN, service="gateway"),
    *every(Role.ENGINEER, Role.FLOWS, user=OWN, service="alarms"),
    *every(Role.ENGINEER, Role.FLOWS, user=OWN, service="detector"),
    *every(Role.OPERATOR, user=OWN, service="detector", verb="maintain"),
    *every(Role.ENGINEER, user=OWN, service="simulator"),
    *every(Role.GATEWAY, user=OWN, service="detector"),
    *every(Role.VOICE, user=OWN, service="alarms", verb="acknowledge"),
)

TELEMETRY = Channel(
    topic=t.TelemetryTopic,
    message=Telemetry,
    qos=1,
    retain=False,
    writers=(
        *every(Role.DEVICE, machine=OWN),
        *every(Role.EDGE, Role.SIMULATOR, Role.FLOWS),
    ),
    readers=every(Role.GATEWAY, Role.DETECTOR, *LISTENERS),
    text="Readings of one machine by metric: an object with a time, or a list of those.",
)
METRIC = Channel(
    topic=t.MetricTopic,
    message=Telemetry,
    qos=1,
    retain=False,
    writers=TELEMETRY.writers,
    readers=TELEMETRY.readers,
    text="One metric: a bare number, or an object of ts and value.",
)
STATUS = Channel(
    topic=t.StatusTopic,
    message=m.Status,
    qos=1,
    retain=True,
    writers=(
        *every(Role.DEVICE, Role.EDGE, Role.FLOWS, Role.VOICE, client=OWN),
        *every(*_SERVICES, client=OWN),
    ),
    readers=every(*_SERVICES, *LISTENERS),
    text="Whether a client is connected: online, or offline as its last will.",
    plain=("online", "offline"),
)
ANNOUNCE = Channel(
    topic=t.AnnounceTopic,
    message=m.Announce,
    qos=1,
    retain=False,
    writers=TELEMETRY.writers,
    readers=every(Role.GATEWAY, Role.DETECTOR, *LISTENERS),
    text="What a machine says of itself: name, type, place, metrics with units.",
)
MACHINE = Channel(
    topic=t.MachineTopic,
    message=m.Machine,
    qos=1,
    retain=True,
    writers=every(Role.GATEWAY),
    readers=every(Role.GATEWAY, Role.DETECTOR, Role.SIMULATOR, *LISTENERS),
    text="The machine as the gateway knows it.",
)
LATEST = Channel(
    topic=t.LatestTopic,
    message=m.Latest,
    qos=1,
    retain=True,
    writers=every(Role.GATEWAY),
    readers=every(Role.GATEWAY, Role.DETECTOR, Role.VOICE, *LISTENERS),
    text="The last value of every metric with its own time; on change, at most once a second.",
)
EXPECTED = Channel(
    topic=t.ExpectedTopic,
    message=m.Expected,
    qos=0,
    retain=True,
    writers=every(Role.DETECTOR),
    readers=every(Role.GATEWAY, *LISTENERS),
    text="Operating state, and expected value, band and score of the metrics that have a model.",
)
HEALTH = Channel(
    topic=t.HealthTopic,
    message=m.Health,
    qos=1,
    retain=True,
    writers=every(Role.GATEWAY),
    readers=every(Role.GATEWAY, Role.DETECTOR, *LISTENERS),
    text="How a machine's data arrives: state, last seen, refusals, clock skew.",
)
ANOMALY = Channel(
    topic=t.AnomalyTopic,
    message=m.Anomaly,
    qos=1,
    retain=False,
    writers=every(Role.DETECTOR),
    readers=every(Role.GATEWAY, *LISTENERS),
    text="One event of an episode: opened, updated or closed.",
)
ALARM = Channel(
    topic=t.AlarmTopic,
    message=m.Alarm,
    qos=1,
    retain=True,
    writers=every(Role.GATEWAY),
    readers=every(Role.DETECTOR, Role.VOICE, *LISTENERS),
    text="The state of an alarm; an empty payload means normal.",
)
TRAINING = Channel(
    topic=t.TrainingTopic,
    message=m.Training,
    qos=1,
    retain=True,
    writers=every(Role.DETECTOR),
    readers=every(Role.GATEWAY, *LISTENERS),
    text="The current or last training job of a model.",
)
MODEL = Channel(
    topic=t.ModelTopic,
    message=m.ModelCard,
    qos=1,
    retain=True,
    writers=every(Role.DETECTOR),
    readers=every(Role.GATEWAY, *LISTENERS),
    text="The card of the model in service.",
)
KPI = Channel(
    topic=t.KpiTopic,
    message=m.Kpi,
    qos=1,
    retain=True,
    writers=every(Role.GATEWAY),
    readers=every(Role.DEVICE, Role.DETECTOR, *LISTENERS),
    text="Energy, cost, CO2 and performance indicators by window.",
)
SERVICE = Channel(
    topic=t.ServiceTopic,
    message=m.Service,
    qos=1,
    retain=True,
    writers=every(*_SERVICES, service=OWN),
    readers=every(*_SERVICES, *LISTENERS),
    text="The state of one of our services; lost is its last will.",
)
SYSTEM_ALERT = Channel(
    topic=t.SystemAlertTopic,
    message=m.SystemAlert,
    qos=1,
    retain=False,
    writers=every(*_SERVICES),
    readers=every(*_SERVICES, *LISTENERS),
    text="Something people who run the system should know now.",
)
SYSTEM_METRICS = Channel(
    topic=t.SystemMetricsTopic,
    message=m.Counters,
    qos=1,
    retain=True,
    writers=every(Role.GATEWAY),
    readers=every(*LISTENERS),
    text="The gateway's counters.",
)
SYSTEM_PERFORMANCE = Channel(
    topic=t.SystemPerformanceTopic,
    message=m.Performance,
    qos=1,
    retain=True,
    writers=every(Role.GATEWAY),
    readers=every(*LISTENERS),
    text="Latency percentiles of each hop.",
)
SYSTEM_SECURITY = Channel(
    topic=t.SystemSecurityTopic,
    message=m.Counters,
    qos=1,
    retain=True,
    writers=every(Role.GATEWAY),
    readers=every(Role.ENGINEER),
    text="Refused log-ins and publishes.",
)
SYSTEM_BREAKER = Channel(
    topic=t.SystemBreakerTopic,
    message=m.Breakers,
    qos=1,
    retain=True,
    writers=every(Role.GATEWAY),
    readers=every(Role.DETECTOR, *LISTENERS),
    text="The state of each dependency.",
)
SYSTEM_SCORING = Channel(
    topic=t.SystemScoringTopic,
    message=m.Scoring,
    qos=1,
    retain=True,
    writers=every(Role.DETECTOR),
    readers=every(Role.GATEWAY, *LISTENERS),
    text="Whether the detector keeps up: rows scored, episodes, refits, latency of each hop.",
)
REJECTED = Channel(
    topic=t.RejectedTopic,
    message=m.Rejected,
    qos=1,
    retain=False,
    writers=every(Role.GATEWAY),
    readers=every(Role.ENGINEER),
    text="Why a message was refused, its topic and its first 1 KiB.",
)
SAY = Channel(
    topic=t.SayTopic,
    message=m.Say,
    qos=1,
    retain=False,
    writers=every(Role.GATEWAY),
    readers=every(Role.VOICE, *LISTENERS),
    text="A finished sentence to be spoken.",
    expiry_s=300,
)
COMMAND = Channel(
    topic=t.CommandTopic,
    message=m.Command,
    qos=1,
    retain=False,
    writers=_COMMANDERS,
    readers=(
        *every(Role.GATEWAY, service="gateway"),
        *every(Role.GATEWAY, service="alarms"),
        *every(Role.DETECTOR, service="detector"),
        *every(Role.SIMULATOR, service="simulator"),
    ),
    text="An order. The actor is the topic's user; expires after 30 s.",
    expiry_s=30,
)
REPLY = Channel(
    topic=t.ReplyTopic,
    message=m.Reply,
    qos=1,
    retain=False,
    writers=every(*_SERVICES),
    readers=every(*PEOPLE, Role.FLOWS, Role.VOICE, Role.DEVICE, Role.GATEWAY, user=OWN),
    text="The answer to a command: ok and result, or an error.",
    expiry_s=30,
)
COMMITTED = Channel(
    topic=t.CommittedTopic,
    message=m.Committed,
    qos=1,
    retain=True,
    writers=every(Role.GATEWAY),
    readers=every(Role.DEVICE, Role.EDGE, Role.SIMULATOR, Role.FLOWS, Role.DETECTOR, client=OWN),
    text="Everything that client sent up to here is in the database.",
)
REPLAY = Channel(
    topic=t.ReplayTopic,
    message=Replayed,
    qos=0,
    retain=False,
    writers=every(Role.GATEWAY),
    readers=every(*LISTENERS),
    text="A window of history as the original topics, at a chosen speed.",
)

CHANNELS: Final[tuple[Channel[t.Topic, object], ...]] = tuple(
    row for row in list(globals().values()) if isinstance(row, Channel)
)
"""Every row, in the order of the file."""
