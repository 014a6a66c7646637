"""How a client shows that it is there: the state of a service, or the status of a plain client."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from broker.messages import Service, ServiceState, Status, encode
from broker.topics import ServiceTopic, StatusTopic


@dataclass(frozen=True, slots=True)
class Numbering:
    """How a client numbers its messages: its boot, and the lowest number it still has or will give."""

    boot: str
    first: int


class Presence:
    """What a client of ours retains about itself, and what its last will says in its place.

    With `service` that is `service/<service>`, whose will is `lost`; otherwise `status/<username>`. A service
    that numbers its messages has a status too, for its boot; a connection has but one will, so when it dies
    the status goes on saying `online` and the service's state is what tells.
    """

    def __init__(self, username: str, service: str | None, version: str) -> None:
        self.where = ServiceTopic(service) if service else StatusTopic(username)
        self.state: ServiceState = "starting"
        self.dependencies: dict[str, str] = {}
        self.status_where = StatusTopic(username)
        self.numbering: Numbering | None = None
        self._version = version
        self._started = datetime.now(UTC)

    def now(self, *, up: bool) -> Service | Status:
        """Return what is retained while the client is `up`, and when it leaves."""
        if isinstance(self.where, ServiceTopic):
            return self._service(self.state if up else "stopped", self.dependencies)
        return self.status(up=up)

    def status(self, *, up: bool) -> Status:
        """Return the client's status, with its numbering where it has one."""
        state: Literal["online", "offline"] = "online" if up else "offline"
        if self.numbering is None:
            return Status(state=state)
        return Status(state=state, boot=self.numbering.boot, first=self.numbering.first)

    def will(self) -> bytes:
        """Return what the broker says when the client is cut off."""
        if isinstance(self.where, ServiceTopic):
            return encode(self._service("lost", {}))
        return encode(Status(state="offline"))

    def _service(self, state: ServiceState, dependencies: dict[str, str]) -> Service:
        return Service(state=state, version=self._version, started=self._started, dependencies=dependencies)
