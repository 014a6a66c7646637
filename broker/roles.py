"""Who may be on the bus. What each may do is said once, in `broker.channels`."""

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """A role a broker user has. Nobody has a right that the table of channels does not give."""

    DEVICE = "device"
    EDGE = "edge"
    GATEWAY = "gateway"
    DETECTOR = "detector"
    SIMULATOR = "simulator"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    FLOWS = "flows"
    VOICE = "voice"
    ADMIN = "broker-admin"


PEOPLE: Final = (Role.VIEWER, Role.OPERATOR, Role.ENGINEER)
"""Roles for people, who log in over HTTP."""

MOST_WORKERS: Final = 8
"""As many gateway processes may share the ingest of one broker; each has broker users of its own."""


def gateway_user(worker: int) -> str:
    """Return the broker user of gateway process `worker`, 0 being the first. Raises ValueError."""
    return _of_worker("gateway", worker)


def ingest_user(worker: int) -> str:
    """Return the broker user under which gateway process `worker` receives telemetry. Raises ValueError."""
    return _of_worker("gateway-ingest", worker)


def live_user(worker: int) -> str:
    """Return the broker user that feeds the live view while the database is away. Raises ValueError."""
    return _of_worker("gateway-live", worker)


def state_user(worker: int) -> str:
    """Return the broker user that publishes how machines are, as retained state. Raises ValueError."""
    return _of_worker("gateway-state", worker)


def _of_worker(name: str, worker: int) -> str:
    if not 0 <= worker < MOST_WORKERS:
        msg = f"there is no worker {worker}: the broker knows the workers 0 to {MOST_WORKERS - 1}"
        raise ValueError(msg)
    return f"{name}-{worker}" if worker else name


SERVICES: Final = {
    "broker-admin": Role.ADMIN,
    **{gateway_user(worker): Role.GATEWAY for worker in range(MOST_WORKERS)},
    **{ingest_user(worker): Role.GATEWAY for worker in range(MOST_WORKERS)},
    **{live_user(worker): Role.GATEWAY for worker in range(MOST_WORKERS)},
    **{state_user(worker): Role.GATEWAY for worker in range(MOST_WORKERS)},
    "detector": Role.DETECTOR,
    "detector-live": Role.DETECTOR,
    "simulator": Role.SIMULATOR,
    "replay": Role.EDGE,
}
"""Our own broker users, made with the broker. A user is one client id, hence one connection."""

LISTENERS: Final = (*PEOPLE, Role.FLOWS)
"""Roles that may subscribe to the whole root; what reaches them is still only what they may read."""

OWN: Final = "\0own"
"""Stands for the broker user's own name in a level of a grant."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role's right to a channel, narrowed to certain levels; a level not named may be anything."""

    role: Role
    levels: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def personal(self) -> bool:
        """Whether the right differs from user to user, so that it needs a role of its own in the broker."""
        return OWN in self.levels.values()


def every(*roles: Role, **levels: str) -> tuple[Grant, ...]:
    """Grant to each role, with the levels given (`OWN` for the user's own name)."""
    return tuple(Grant(role, MappingProxyType(dict(levels))) for role in roles)
