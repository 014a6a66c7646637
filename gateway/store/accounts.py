"""Who may log in, who is, and who did what."""

from datetime import datetime

import msgspec

from gateway.store.database import Database
from gateway.store.rows import Account, AuditEntry, BrokerLogin, Session


class Accounts(Database):
    """Accounts, sessions, log-ins to the broker, and the audit trail."""

    async def add_account(self, name: str, role: str, password_hash: str, created_at: datetime) -> bool:
        """Make an account; False where the name is taken."""
        values = {"name": name, "role": role, "password_hash": password_hash, "created_at": created_at}
        return await self._run("add_account", **values) == 1

    async def account(self, name: str) -> Account | None:
        """Return an account, None where there is none."""
        return await self._one(Account, "account", name=name)

    async def accounts(self) -> list[Account]:
        """Return all accounts by name."""
        return await self._all(Account, "accounts")

    async def set_password_hash(self, name: str, password_hash: str) -> bool:
        """Give an account another password; False where there is none."""
        return await self._run("set_password_hash", name=name, password_hash=password_hash) == 1

    async def set_role(self, name: str, role: str) -> bool:
        """Give an account another role; False where there is none."""
        return await self._run("set_role", name=name, role=role) == 1

    async def set_disabled(self, name: str, *, disabled: bool) -> bool:
        """Close an account or open it again; False where there is none."""
        return await self._run("set_disabled", name=name, disabled=disabled) == 1

    async def remove_account(self, name: str) -> bool:
        """Forget an account with its sessions; False where there is none. Its broker log-ins stay listed."""
        return await self._run("remove_account", name=name) == 1

    async def add_session(
        self, token_hash: bytes, account: str, created_at: datetime, expires_at: datetime
    ) -> None:
        """Note a session; raises BadValueError where the account is gone or the token was used before."""
        await self._run(
            "add_session",
            token_hash=token_hash,
            account=account,
            created_at=created_at,
            expires_at=expires_at,
        )

    async def session(self, token_hash: bytes, now: datetime) -> Session | None:
        """Return the session of a token, None where it ended or the account is closed."""
        return await self._one(Session, "session", token_hash=token_hash, now=now)

    async def remove_session(self, token_hash: bytes) -> bool:
        """End a session; False where there is none."""
        return await self._run("remove_session", token_hash=token_hash) == 1

    async def remove_sessions_of(self, account: str) -> int:
        """End all sessions of an account; returns how many."""
        return await self._run("remove_sessions_of", account=account)

    async def drop_expired_sessions(self, now: datetime) -> int:
        """Forget sessions that have ended; returns how many."""
        return await self._run("drop_expired_sessions", now=now)

    async def add_broker_login(self, login: BrokerLogin) -> None:
        """Note a log-in to the broker, or that a known one changed."""
        await self._run(
            "add_broker_login",
            username=login.username,
            account=login.account,
            token_hash=login.token_hash,
            expires_at=login.expires_at,
        )

    async def broker_logins(
        self,
        account: str | None = None,
        token_hash: bytes | None = None,
        expired_by: datetime | None = None,
    ) -> list[BrokerLogin]:
        """Return the log-ins to the broker to which all that is given applies."""
        values = {"account": account, "token_hash": token_hash, "expired_by": expired_by}
        return await self._all(BrokerLogin, "broker_logins", **values)

    async def remove_broker_login(self, username: str) -> bool:
        """Forget a log-in the broker no longer knows; False where there is none."""
        return await self._run("remove_broker_login", username=username) == 1

    async def add_audit(self, entry: AuditEntry) -> None:
        """Add to the audit trail, which nothing is ever taken from."""
        await self._run(
            "add_audit",
            ts=entry.ts,
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            details=msgspec.json.encode(entry.details).decode(),
        )

    async def audit(
        self, start: datetime | None = None, end: datetime | None = None, limit: int = 1000
    ) -> list[AuditEntry]:
        """Return the audit trail of [start, end), the latest first."""
        return await self._all(AuditEntry, "audit", start=start, end=end, limit=limit)
