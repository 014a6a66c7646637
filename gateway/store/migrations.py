"""Forward-only migrations: numbered files, applied once each, never changed after."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

import psycopg
import structlog

from gateway.store.capability import Capability, capability_of, render
from gateway.store.database import Cursor, Database, fetch
from gateway.store.errors import SchemaError
from gateway.store.queries import SQL, query

LIMIT_S: Final = 3600.0
_log = structlog.get_logger()
_FILE: Final = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of gateway/sql/migrations."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """What tells whether the file is the one that was applied."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration the database has had."""

    number: int
    name: str
    checksum: str


def load() -> list[Migration]:
    """Return the migrations of this version in order; raises SchemaError where a number is missing."""
    files = sorted(SQL.joinpath("migrations").iterdir(), key=lambda file: file.name)
    found = [
        Migration(int(match[1]), match[2], file.read_text("utf-8"))
        for file in files
        if (match := _FILE.fullmatch(file.name))
    ]
    if [one.number for one in found] != list(range(1, len(found) + 1)):
        msg = f"migrations must be numbered 1, 2, 3 …, found {[one.number for one in found]}"
        raise SchemaError(msg)
    return found


def pending(known: list[Migration], applied: list[Applied]) -> list[Migration]:
    """Return what is still to be applied.

    Raises SchemaError where the database is newer than this version or was made by other files.
    """
    if len(applied) > len(known):
        msg = (
            f"the database has migration {applied[-1].number} ({applied[-1].name}), this version knows only "
            f"{len(known)}: it was used by a newer enms; run that one, or restore a backup from before"
        )
        raise SchemaError(msg)
    for had, have in zip(applied, known, strict=False):
        if (had.number, had.checksum) != (have.number, have.checksum):
            msg = (
                f"migration {have.number} ({have.name}) is not the one this database was made with "
                f"({had.name}, {had.checksum[:8]}, now {have.checksum[:8]}): migrations are never changed, "
                "add a new one; or this database belongs to another program: give enms one of its own"
            )
            raise SchemaError(msg)
    return known[len(applied) :]


def ddl(capability: Capability) -> str:
    """Return all SQL that makes an empty database one of this version."""
    return "\n".join(f"-- {one.number:04} {one.name}\n\n{render(one.text, capability)}" for one in load())


class Migrating(Database):
    """Brings the tables up to date."""

    capability: Capability | None = None
    """What the database can do; None before `migrate`."""

    async def migrate(self, migrations: list[Migration] | None = None) -> list[int]:
        """Apply what is pending, all or nothing; returns the numbers applied. Safe to call at once twice.

        The first time it is found out what the database can do. That stays: one that began plain remains
        so when TimescaleDB is installed later. Raises SchemaError where the database is newer or made by
        other files, StoreUnavailableError.
        """
        known = load() if migrations is None else migrations
        async with self.transaction(LIMIT_S) as cursor:
            await cursor.execute(query("no_statement_limit"))
            await cursor.execute(query("migration_lock"))
            await cursor.execute(query("make_migration_table"))
            await cursor.execute(query("make_capability_table"))
            applied = await fetch(cursor, Applied, "applied_migrations")
            todo = pending(known, applied)
            capability = await _capability(cursor, new=not applied)
            for one in todo:
                await cursor.execute(render(one.text, capability).encode())
                await cursor.execute(
                    query("note_migration"),
                    {"number": one.number, "name": one.name, "checksum": one.checksum},
                )
        self.capability = capability
        return [one.number for one in todo]


async def _capability(cursor: Cursor, *, new: bool) -> Capability:
    """Return what was noted of the database, and note it where nothing is."""
    await cursor.execute(query("noted_capability"))
    if noted := await cursor.fetchone():
        return Capability(noted[0])
    # Tables from before this was noted were made plain.
    found = capability_of(await _edition(cursor)) if new else Capability.PLAIN
    await cursor.execute(query("note_capability"), {"capability": found})
    return found


async def _edition(cursor: Cursor) -> str | None:
    """Return the edition of TimescaleDB, switched on where it is installed and we may; None without."""
    await cursor.execute(query("timescaledb_usable"))
    if await cursor.fetchone() != (True,):
        return None
    try:
        async with cursor.connection.transaction():
            await cursor.execute(query("use_timescaledb"))
    except psycopg.errors.InsufficientPrivilege as error:
        _log.warning("TimescaleDB is there but may not be switched on; going without it", why=str(error))
        return None
    await cursor.execute(query("timescaledb_edition"))
    row = await cursor.fetchone()
    return row[0] if row else None
