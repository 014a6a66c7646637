"""Who may log in, for how long, and the broker user a log-in gets for its browser tab."""

import asyncio
import hashlib
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from broker.dynsec import BrokerAdmin
from broker.roles import PEOPLE, SERVICES, Role
from broker.topics import BadTopicError, check_level
from gateway.store import Account, AuditEntry, BrokerLogin, Store

SESSION: Final = timedelta(hours=12)
LOGIN: Final = timedelta(minutes=15)
ATTEMPTS: Final = 5
ATTEMPTS_WITHIN: Final = timedelta(minutes=1)
TAB: Final = "~"  # stands between a person's name and the tail of a tab's broker user; no name may have it
ADDABLE: Final = (*PEOPLE, Role.DEVICE, Role.EDGE, Role.FLOWS, Role.VOICE)


class AccountError(ValueError):
    """The account cannot be made or changed like this; the message says why."""


class LoginRefusedError(PermissionError):
    """No such user with that password, or the session has ended: log in again."""


class TooManyLoginsError(PermissionError):
    """Too many attempts from one address; wait `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"more than {ATTEMPTS} log-ins a minute from this address; wait {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class MqttLogin:
    """A broker user for one browser tab; it is cut off at `expires_at` unless renewed."""

    username: str
    password: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Who:
    """Who is asking; people have a session, which ends at `until`."""

    name: str
    role: Role
    token_hash: bytes = b""
    until: datetime | None = None


@dataclass(slots=True)
class _Attempts:
    """Log-in attempts by address; addresses are forgotten as their attempts age."""

    by_address: dict[str, deque[datetime]] = field(default_factory=dict)

    def check(self, address: str, now: datetime) -> None:
        if len(self.by_address) > 10_000:  # noqa: PLR2004  a flood of addresses must not eat memory
            self.by_address.clear()
        seen = self.by_address.setdefault(address, deque())
        while seen and now - seen[0] >= ATTEMPTS_WITHIN:
            seen.popleft()
        if len(seen) >= ATTEMPTS:
            raise TooManyLoginsError(1 + int((seen[0] + ATTEMPTS_WITHIN - now).total_seconds()))
        seen.append(now)


class Accounts:
    """Accounts and sessions live in the database, their rights on the bus in the broker."""

    def __init__(
        self,
        store: Store,
        broker: BrokerAdmin,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        login: timedelta = LOGIN,
    ) -> None:
        self._store = store
        self._broker = broker
        self._now = now
        self._login = login
        self._hasher = PasswordHasher()
        self._attempts = _Attempts()
        # Verified when the name is unknown, so that the time it takes does not tell.
        self._nobody = self._hasher.hash(secrets.token_hex(8))
        self.refused = 0

    async def add(self, name: str, role: Role, machines: tuple[str, ...] = (), *, by: str) -> str:
        """Add an account, or give an existing one a new password and role; returns the password.

        `by` is who asked for it, for the audit trail.

        Raises AccountError for a name or role that cannot be.
        """
        try:
            check_level("user", name)
            for machine in machines:
                check_level("machine", machine)
        except BadTopicError as error:
            raise AccountError(str(error)) from error
        if name in SERVICES:
            msg = f"{name!r} is one of our own services"
            raise AccountError(msg)
        if role not in ADDABLE or (machines and role is not Role.EDGE):
            msg = f"a user can be one of {', '.join(ADDABLE)}; only {Role.EDGE} takes machines"
            raise AccountError(msg)
        password = secrets.token_urlsafe(15)
        hashed = await asyncio.to_thread(self._hasher.hash, password)
        await self._broker.add_user(name, password, role, machines)
        await self._end_sessions(name)
        if not await self._store.add_account(name, str(role), hashed, self._now()):
            await self._store.set_password_hash(name, hashed)
            await self._store.set_role(name, str(role))
        await self._audit(by, "account added", name, role=str(role))
        return password

    async def remove(self, name: str, *, by: str) -> None:
        """Remove an account, its sessions and its rights at once. Raises AccountError if there is none."""
        account = await self._store.account(name)
        if account is None:
            msg = f"there is no user {name!r}"
            raise AccountError(msg)
        await self._end_sessions(name)
        await self._broker.remove_user(name, Role(account.role))
        await self._store.remove_account(name)
        await self._audit(by, "account removed", name)

    async def all(self) -> list[Account]:
        """Return every account, sorted by name."""
        return await self._store.accounts()

    async def log_in(self, name: str, password: str, address: str) -> tuple[str, datetime, Who]:
        """Check a password; returns the session's token, its end, and who it is.

        Raises LoginRefusedError or TooManyLoginsError.
        """
        now = self._now()
        self._attempts.check(address, now)
        account = await self._store.account(name) if _can_be(name) else None
        hashed = self._nobody if account is None else account.password_hash
        good = await asyncio.to_thread(self._matches, hashed, password)
        if not good or account is None or account.disabled:
            self.refused += 1
            await self._audit(ascii(name)[1:-1][:64], "log-in refused", address)
            msg = "user name or password is wrong"
            raise LoginRefusedError(msg)
        if account.role not in PEOPLE:
            msg = f"{name} is a {account.role}: it talks MQTT, it does not log in here"
            raise LoginRefusedError(msg)
        token = secrets.token_urlsafe(32)
        until = now + SESSION
        who = Who(account.name, Role(account.role), _hash(token), until)
        await self._store.add_session(who.token_hash, who.name, now, until)
        await self._audit(who.name, "logged in", address)
        return token, until, who

    async def who(self, token: str) -> Who:
        """Return who a session's token belongs to. Raises LoginRefusedError when it has ended."""
        session = await self._store.session(_hash(token), self._now())
        if session is None:
            msg = "the session has ended; log in again"
            raise LoginRefusedError(msg)
        return Who(session.account, Role(session.role), session.token_hash, session.expires_at)

    async def open_mqtt(self, who: Who) -> MqttLogin:
        """Make a broker user for one tab of a session. Raises AccountError where a service of ours asks."""
        if not who.token_hash:
            msg = f"{who.name} is a service with a broker user of its own; a tab's is for who has logged in"
            raise AccountError(msg)
        name = f"{who.name}{TAB}{secrets.token_hex(5)}"
        made = MqttLogin(name, secrets.token_urlsafe(18), self._tab_ends(who))
        await self._store.add_broker_login(
            BrokerLogin(made.username, who.name, who.token_hash, made.expires_at)
        )
        await self._broker.add_login(made.username, made.password, who.role, who.name)
        return made

    async def renew_mqtt(self, who: Who, username: str) -> datetime:
        """Give a tab's broker user more minutes; returns its new end.

        Raises LoginRefusedError when it is not this session's, or gone.
        """
        until = self._tab_ends(who)
        mine = {one.username for one in await self._logins_of(who)}
        if username not in mine:
            msg = "this connection's log-in has ended; open a new one"
            raise LoginRefusedError(msg)
        await self._store.add_broker_login(BrokerLogin(username, who.name, who.token_hash, until))
        return until

    async def log_out(self, who: Who) -> None:
        """End a session: its broker users are cut off at once."""
        logins = await self._logins_of(who)
        # The session first: it has ended even where the broker cannot be told now.
        await self._store.remove_session(who.token_hash)
        await self._drop(logins)
        await self._audit(who.name, "logged out", who.name)

    async def reap(self) -> int:
        """Remove broker users whose time is over, and those nobody knows of; returns how many."""
        expired = await self._store.broker_logins(expired_by=self._now())
        await self._drop(expired)
        await self._store.drop_expired_sessions(self._now())
        return len(expired)

    async def reap_unknown(self) -> int:
        """Remove tab users of the broker that the database knows nothing of, as after a crash."""
        known = {login.username for login in await self._store.broker_logins()}
        strange = [name for name in await self._broker.users() if TAB in name and name not in known]
        for name in strange:
            await self._broker.remove_login(name)
        return len(strange)

    async def _end_sessions(self, name: str) -> None:
        await self._store.remove_sessions_of(name)
        await self._drop(await self._store.broker_logins(account=name))

    def _tab_ends(self, who: Who) -> datetime:
        """Return when a tab's broker user ends if it begins or is renewed now: never after its session."""
        ends = self._now() + self._login
        return ends if who.until is None else min(ends, who.until)

    async def _logins_of(self, who: Who) -> list[BrokerLogin]:
        return await self._store.broker_logins(token_hash=who.token_hash) if who.token_hash else []

    async def _audit(self, actor: str, action: str, subject: str, **details: str) -> None:
        await self._store.add_audit(AuditEntry(self._now(), actor, action, subject, details))

    async def _drop(self, logins: list[BrokerLogin]) -> None:
        for login in logins:
            await self._broker.remove_login(login.username)
            await self._store.remove_broker_login(login.username)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False


def _can_be(name: str) -> bool:
    try:
        check_level("user", name)
    except BadTopicError:
        return False
    return True


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
