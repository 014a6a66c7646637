"""Mosquitto's dynamic-security plugin: its file before the start, its commands while it runs."""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from broker.access import Rule, personal_role, personal_rules, rules
from broker.bus import Bus, BusAddress
from broker.channels import Channel, Telemetry
from broker.roles import SERVICES, Role
from broker.topics import Topic, check_level

ITERATIONS: Final = 10_000
ANSWER_S: Final = 10.0
Json = dict[str, Any]


class BrokerAdminError(RuntimeError):
    """The broker refused an administrative command, or did not answer in time."""


def initial_config(root: str, passwords: Mapping[str, str], old: Json | None = None) -> Json:
    """Return the plugin's file: every role as the table says now, our services, and the users of `old`.

    `passwords` gives the password of each of `SERVICES`.
    """
    users = [one for one in (old or {}).get("clients", ()) if one["username"] not in SERVICES]
    roles = {str(role): rules(role, root) for role in Role}
    kept = {one["rolename"]: one for one in (old or {}).get("roles", ()) if one["rolename"] not in roles}
    for name, role in SERVICES.items():
        roles[personal_role(role, name)] = personal_rules(role, name, root)
    for name in kept:
        role_name, _, user = name.partition(":")
        if role_name in set(Role) and role_name != Role.EDGE and name not in roles:
            roles[name] = personal_rules(Role(role_name), user, root)
    written = [{"rolename": name, "acls": _acls(found)} for name, found in sorted(roles.items())]
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": False,
            "subscribe": False,
            "unsubscribe": True,
        },
        "clients": [_service(name, role, passwords[name]) for name, role in SERVICES.items()] + users,
        "groups": [],
        "roles": written + [one for name, one in sorted(kept.items()) if name not in roles],
    }


def _service(name: str, role: Role, password: str) -> Json:
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, 64)
    return {
        "username": name,
        "password": base64.b64encode(digest).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": ITERATIONS,
        "roles": _roles(role, name),
    }


def _acls(found: Iterable[Rule]) -> list[Json]:
    return [{"acltype": rule.kind, "topic": rule.topic, "priority": 0, "allow": True} for rule in found]


def _roles(role: Role, owner: str) -> list[Json]:
    return [{"rolename": str(role)}, {"rolename": personal_role(role, owner)}]


class _ControlTopic(Topic):
    pattern: ClassVar[str] = "dynamic-security/v1"


class _AnswerTopic(Topic):
    pattern: ClassVar[str] = "dynamic-security/v1/response"


_CONTROL = Channel(
    topic=_ControlTopic,
    message=Telemetry,
    qos=1,
    retain=False,
    writers=(),
    readers=(),
    text="Commands to the dynamic-security plugin; under $CONTROL, not under the root.",
)
_ANSWER = Channel(
    topic=_AnswerTopic,
    message=Telemetry,
    qos=1,
    retain=False,
    writers=(),
    readers=(),
    text="Answers of the dynamic-security plugin.",
)


class BrokerAdmin:
    """Adds and removes broker users while the broker runs. Use as a context manager."""

    def __init__(self, address: BusAddress, password: str) -> None:
        self._root = address.root
        control = BusAddress(address.host, address.port, root="$CONTROL")
        self._bus = Bus(control, "broker-admin", password, silent=True)
        self._answers = self._bus.subscribe(_ANSWER)
        self._waiting: dict[str, asyncio.Future[Json]] = {}

    async def run(self) -> None:
        """Stay connected and hand out answers until cancelled."""
        async with self._bus:
            async for delivery in self._answers:
                for answer in msgspec.json.decode(delivery.payload, type=Json).get("responses", ()):
                    waiting = self._waiting.pop(answer.get("correlationData", ""), None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(answer)

    @property
    def connected(self) -> bool:
        """Whether the broker takes administrative commands from us now."""
        return self._bus.connected

    async def add_user(self, name: str, password: str, role: Role, machines: Iterable[str] = ()) -> None:
        """Make a lasting user (a device, or a person's own), or give an existing one this password and role.

        Raises BadTopicError for a name that may not stand in a topic.
        """
        check_level("client", name)
        own = personal_role(role, name)
        acls = _acls(personal_rules(role, name, self._root, machines))
        roles = [{"rolename": own}]
        if not machines:
            roles.append({"rolename": str(role)})
        if await self._try("createRole", rolename=own, acls=acls) is not None:
            await self._do("modifyRole", rolename=own, acls=acls)
        if await self._try("createClient", username=name, password=password, roles=roles) is not None:
            await self._do("modifyClient", username=name, password=password, roles=roles)

    async def add_login(self, login: str, password: str, role: Role, person: str) -> None:
        """Make a short-lived user `login` with the rights of `person`, who was added before."""
        await self._do("createClient", username=login, password=password, roles=_roles(role, person))

    async def remove_login(self, login: str) -> None:
        """Remove a broker user and cut its connection at once; one that is gone already is fine."""
        await self._try("deleteClient", username=login)

    async def remove_user(self, name: str, role: Role) -> None:
        """Remove a lasting user with its own rights, and cut its connection at once."""
        await self.remove_login(name)
        await self._try("deleteRole", rolename=personal_role(role, name))

    async def users(self) -> list[str]:
        """Return the names of all broker users, ours too."""
        answer = await self._do("listClients", verbose=False, count=-1, offset=0)
        return [str(name) for name in answer.get("data", {}).get("clients", ())]

    async def _do(self, command: str, **arguments: Any) -> Json:
        answer = await self._ask(command, arguments)
        if "error" in answer:
            msg = f"the broker refused {command}: {answer['error']}"
            raise BrokerAdminError(msg)
        return answer

    async def _try(self, command: str, **arguments: Any) -> str | None:
        """Return the broker's refusal in words, None where it did as told."""
        error = (await self._ask(command, arguments)).get("error")
        return None if error is None else str(error)

    async def _ask(self, command: str, arguments: Json) -> Json:
        key = secrets.token_hex(8)
        waiting: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        body = {"commands": [{"command": command, "correlationData": key, **arguments}]}
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._bus.send(_CONTROL, _ControlTopic(), body)
                return await waiting
        except TimeoutError:
            msg = f"the broker did not answer {command} within {ANSWER_S:.0f} s; is it running?"
            raise BrokerAdminError(msg) from None
        finally:
            self._waiting.pop(key, None)


def load(text: str) -> Json:
    """Read the plugin's file. Raises ValueError when it is not JSON of the plugin's form."""
    found = json.loads(text)
    if not isinstance(found, dict) or "clients" not in found:
        msg = "the dynamic-security file has no clients in it"
        raise ValueError(msg)
    return dict(found)
