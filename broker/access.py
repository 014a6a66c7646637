"""Who may do what, derived from the table of channels, as rules of Mosquitto's dynamic-security plugin.

Deny by default. A role that means the same for every user of it is one role in the broker; what differs
from user to user (its own name in a topic) becomes a role `<role>:<user>` of its own, because Debian's
Mosquitto knows no `%u` there. Receiving is checked for each message, so a subscription that reaches
further than a right delivers nothing more.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from broker.channels import CHANNELS
from broker.roles import LISTENERS, OWN, Grant, Role
from broker.topics import Topic

Kind = Literal["publishClientSend", "publishClientReceive", "subscribePattern"]

_CONTROL: Final = ("$CONTROL/dynamic-security/#",)


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One thing that is allowed."""

    kind: Kind
    topic: str


def personal_role(role: Role, user: str) -> str:
    """Return the name of the broker role that holds a user's own rights."""
    return f"{role}:{user}"


def rules(role: Role, root: str) -> list[Rule]:
    """Return what every user of a role may do under `root`."""
    if role is Role.ADMIN:
        return [
            Rule("publishClientSend", _CONTROL[0]),
            *_reads((*_CONTROL, "$SYS/#")),
        ]
    found = list(_collect(role, root, None))
    if role in LISTENERS:
        found.append(Rule("subscribePattern", f"{root}/#"))
    return sorted(set(found))


def personal_rules(role: Role, user: str, root: str, machines: Iterable[str] = ()) -> list[Rule]:
    """Return what this user of a role may do beyond that: what concerns its own name.

    `machines` are the machines an edge gateway speaks for where it may not speak for all.
    """
    found = set(_collect(role, root, user))
    for machine in machines:
        found.update(
            rule for rule in _collect(Role.DEVICE, root, machine) if rule.kind == "publishClientSend"
        )
    return sorted(found)


def _collect(role: Role, root: str, user: str | None) -> Iterator[Rule]:
    """Yield the rules common to a role (`user` is None), or one user's own."""
    for row in CHANNELS:
        for grant in row.writers:
            if grant.role is role and grant.personal == (user is not None):
                yield Rule("publishClientSend", _topic(row.topic, grant, root, user))
        reads = [g for g in row.readers if g.role is role and g.personal == (user is not None)]
        yield from _reads(_topic(row.topic, grant, root, user) for grant in reads)


def _reads(topics: Iterable[str]) -> Iterator[Rule]:
    for topic in topics:
        yield Rule("publishClientReceive", topic)
        yield Rule("subscribePattern", topic)


def _topic(topic: type[Topic], grant: Grant, root: str, user: str | None) -> str:
    levels = {name: user or "" if text == OWN else text for name, text in grant.levels.items()}
    return f"{root}/{topic.filter(**levels)}"
