"""Topics as values: parsed once at the edge, refused there when they are not ours.

A topic here is relative to the root (`telemetry/press-7`, not `enms/telemetry/press-7`);
the connection in `broker.bus` puts the root in front and takes it off.
"""

import re
from dataclasses import dataclass, fields
from typing import ClassVar, Self

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LOCALE = re.compile(r"[a-z]{2}(-[A-Z]{2})?")

LEVELS: dict[str, re.Pattern[str]] = {
    "machine": _WORD,
    "metric": _WORD,
    "client": _WORD,
    "user": _WORD,
    "service": _WORD,
    "verb": _WORD,
    "code": _WORD,
    "model": _WORD,
    "kpi": _WORD,
    "window": _WORD,
    "source": _WORD,
    "session": _WORD,
    "id": _WORD,
    "locale": _LOCALE,
}
"""What each named level of a topic may be. Every pattern must match the whole level."""


class BadTopicError(ValueError):
    """The topic is not one of this channel's; the message says which level is wrong and why."""


def check_level(name: str, text: str) -> str:
    """Return `text` when it may stand as the level called `name`.

    Raises BadTopicError with the rule in words otherwise.
    """
    if LEVELS[name].fullmatch(text):
        return text
    shown = ascii(text if len(text) <= 80 else text[:80] + "…")  # noqa: PLR2004
    if LEVELS[name] is _LOCALE:
        rule = "a locale such as en or de-AT"
    else:
        rule = "1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit"
    msg = f"{name} {shown} is not allowed: it must be {rule}"
    raise BadTopicError(msg)


def matches(pattern: str, topic: str) -> bool:
    """Whether a subscription filter (with `+` and `#`) takes a topic."""
    want, have = pattern.split("/"), topic.split("/")
    if want[-1] == "#":
        want, have = want[:-1], have[: len(want) - 1]
    return len(want) == len(have) and all(w in {"+", h} for w, h in zip(want, have, strict=True))


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of one shape. Subclasses give `pattern` and one field for each `<level>` of it."""

    pattern: ClassVar[str]

    def __post_init__(self) -> None:
        for field in fields(self):
            check_level(field.name, getattr(self, field.name))

    def __str__(self) -> str:
        return "/".join(
            getattr(self, level[1:-1]) if level.startswith("<") else level
            for level in self.pattern.split("/")
        )

    @classmethod
    def parse(cls, topic: str) -> Self:
        """Read a topic relative to the root.

        Raises BadTopicError when it has another shape or a level that is not allowed.
        """
        wanted, found = cls.pattern.split("/"), topic.split("/")
        if len(wanted) != len(found):
            msg = f"a topic of the shape {cls.pattern} has {len(wanted)} levels, this has {len(found)}"
            raise BadTopicError(msg)
        values: dict[str, str] = {}
        for want, have in zip(wanted, found, strict=True):
            if want.startswith("<"):
                values[want[1:-1]] = have
            elif want != have:
                msg = f"a topic of the shape {cls.pattern} has {want!r} where this has {have!a}"
                raise BadTopicError(msg)
        return cls(**values)

    @classmethod
    def filter(cls, **levels: str) -> str:
        """Return the subscription filter of this shape; a level that is not given becomes `+`."""
        return "/".join(
            levels.get(level[1:-1], "+") if level.startswith("<") else level
            for level in cls.pattern.split("/")
        )


@dataclass(frozen=True, slots=True)
class TelemetryTopic(Topic):
    pattern = "telemetry/<machine>"
    machine: str


@dataclass(frozen=True, slots=True)
class MetricTopic(Topic):
    pattern = "telemetry/<machine>/<metric>"
    machine: str
    metric: str


@dataclass(frozen=True, slots=True)
class StatusTopic(Topic):
    pattern = "status/<client>"
    client: str


@dataclass(frozen=True, slots=True)
class AnnounceTopic(Topic):
    pattern = "announce/<machine>"
    machine: str


@dataclass(frozen=True, slots=True)
class MachineTopic(Topic):
    pattern = "machine/<machine>"
    machine: str


@dataclass(frozen=True, slots=True)
class LatestTopic(Topic):
    pattern = "latest/<machine>"
    machine: str


@dataclass(frozen=True, slots=True)
class ExpectedTopic(Topic):
    pattern = "expected/<machine>"
    machine: str


@dataclass(frozen=True, slots=True)
class HealthTopic(Topic):
    pattern = "health/<machine>"
    machine: str


@dataclass(frozen=True, slots=True)
class AnomalyTopic(Topic):
    pattern = "anomaly/<machine>"
    machine: str


@dataclass(frozen=True, slots=True)
class AlarmTopic(Topic):
    pattern = "alarm/<machine>/<code>"
    machine: str
    code: str


@dataclass(frozen=True, slots=True)
class TrainingTopic(Topic):
    pattern = "training/<machine>/<model>"
    machine: str
    model: str


@dataclass(frozen=True, slots=True)
class ModelTopic(Topic):
    pattern = "model/<machine>/<model>"
    machine: str
    model: str


@dataclass(frozen=True, slots=True)
class KpiTopic(Topic):
    pattern = "kpi/<machine>/<kpi>/<window>"
    machine: str
    kpi: str
    window: str


@dataclass(frozen=True, slots=True)
class ServiceTopic(Topic):
    pattern = "service/<service>"
    service: str


@dataclass(frozen=True, slots=True)
class SystemAlertTopic(Topic):
    pattern = "system/alert"


@dataclass(frozen=True, slots=True)
class SystemMetricsTopic(Topic):
    pattern = "system/metrics"


@dataclass(frozen=True, slots=True)
class SystemPerformanceTopic(Topic):
    pattern = "system/performance"


@dataclass(frozen=True, slots=True)
class SystemSecurityTopic(Topic):
    pattern = "system/security"


@dataclass(frozen=True, slots=True)
class SystemBreakerTopic(Topic):
    pattern = "system/breaker"


@dataclass(frozen=True, slots=True)
class SystemScoringTopic(Topic):
    pattern = "system/scoring"


@dataclass(frozen=True, slots=True)
class RejectedTopic(Topic):
    """`source` is the machine, or `unknown` where the topic named none that may exist."""

    pattern = "rejected/<source>"
    source: str


@dataclass(frozen=True, slots=True)
class SayTopic(Topic):
    pattern = "say/<locale>"
    locale: str


@dataclass(frozen=True, slots=True)
class CommandTopic(Topic):
    """The actor is `user`: the broker lets nobody publish under another's name."""

    pattern = "command/<user>/<service>/<verb>"
    user: str
    service: str
    verb: str


@dataclass(frozen=True, slots=True)
class ReplyTopic(Topic):
    pattern = "reply/<user>/<id>"
    user: str
    id: str


@dataclass(frozen=True, slots=True)
class CommittedTopic(Topic):
    pattern = "committed/<client>"
    client: str


@dataclass(frozen=True, slots=True)
class ReplayTopic(Topic):
    """One replayed message: the original channel's levels follow the session."""

    pattern = "replay/<session>/#"
    session: str
