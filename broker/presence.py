"""How a client shows that it is there: the state of a service, or the status of a plain client."""

from datetime import UTC, datetime

from broker.messages import Service, ServiceState, Status, encode
from broker.topics import ServiceTopic, StatusTopic


class Presence:
    """What a client of ours retains about itself, and what its last will says in its place.

    With `service` that is `service/<service>`, whose will is `lost`; otherwise `status/<username>`.
    """

    def __init__(self, username: str, service: str | None, version: str) -> None:
        self.where = ServiceTopic(service) if service else StatusTopic(username)
        self.state: ServiceState = "starting"
        self.dependencies: dict[str, str] = {}
        self._version = version
        self._started = datetime.now(UTC)

    def now(self, *, up: bool) -> Service | Status:
        """Return what is retained while the client is `up`, and when it leaves."""
        if isinstance(self.where, ServiceTopic):
            return self._service(self.state if up else "stopped", self.dependencies)
        return Status(state="online" if up else "offline")

    def will(self) -> bytes:
        """Return what the broker says when the client is cut off."""
        if isinstance(self.where, ServiceTopic):
            return encode(self._service("lost", {}))
        return encode(Status(state="offline"))

    def _service(self, state: ServiceState, dependencies: dict[str, str]) -> Service:
        return Service(state=state, version=self._version, started=self._started, dependencies=dependencies)
