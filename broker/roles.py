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

SERVICES: Final = {
    "broker-admin": Role.ADMIN,
    "gateway": Role.GATEWAY,
    "gateway-ingest": Role.GATEWAY,
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
