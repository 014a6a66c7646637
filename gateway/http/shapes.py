"""What the API answers and takes, beside the messages of the bus."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field

from broker.messages import Anomaly, Health, Latest, Machine, Rejected


class HealthAnswer(Struct, kw_only=True, frozen=True):
    """`ok` when everything this process needs answers; what does not is named."""

    status: Literal["ok", "degraded"]
    version: str
    dependencies: dict[str, str]


class ConfigAnswer(Struct, kw_only=True, frozen=True):
    """What the page needs before anybody has logged in."""

    version: str
    root: str
    mqtt_url: str


class MachineList(Struct, kw_only=True, frozen=True):
    """Every machine, sorted by its topic name."""

    machines: list[Machine]


class MachineState(Struct, kw_only=True, frozen=True):
    """A machine as the retained topics show it now."""

    machine: Machine
    latest: Latest
    health: Health


class AnomalyList(Struct, kw_only=True, frozen=True):
    """The last event of each episode, newest first."""

    anomalies: list[Anomaly]


class RejectedEntry(Struct, kw_only=True, frozen=True):
    """One refusal; `source` is the machine, or unknown."""

    source: str
    rejected: Rejected


class RejectedList(Struct, kw_only=True, frozen=True):
    """Refusals, newest first; `total` counts by reason since the gateway started."""

    rejected: list[RejectedEntry]
    total: dict[str, int]


class MqttAccess(Struct, kw_only=True, frozen=True):
    """A broker user for this tab: renew it before `expires_at`, or it is cut off."""

    url: str
    username: str
    password: str
    expires_at: datetime


class SessionAnswer(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A log-in. The token is given once, at the log-in itself."""

    username: str
    role: str
    expires_at: datetime
    mqtt: MqttAccess
    access_token: str | None = None


class Renewed(Struct, kw_only=True, frozen=True):
    """When the tab's broker user ends now."""

    expires_at: datetime


class AccountAnswer(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """An account; the password is given once, when it was made."""

    name: str
    role: str
    created_at: datetime | None = None
    password: str | None = None


class AccountList(Struct, kw_only=True, frozen=True):
    """Every account, sorted by name."""

    users: list[AccountAnswer]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogIn(_Body):
    """A user name and its password."""

    username: Annotated[str, Field(min_length=1, max_length=128)]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class Renew(_Body):
    """Which of the session's broker users to renew."""

    mqtt_username: Annotated[str, Field(min_length=1, max_length=128)]


class NewAccount(_Body):
    """An account to make; `machines` only for an edge gateway that speaks for some and not for all."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    role: Literal["viewer", "operator", "engineer", "device", "edge", "flows", "voice"]
    machines: list[str] = []
