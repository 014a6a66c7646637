"""Forward-only migrations: numbered files, applied once each, never changed after."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from gateway.store.database import Database, fetch
from gateway.store.errors import SchemaError
from gateway.store.queries import SQL, query

LIMIT_S: Final = 3600.0
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


class Migrating(Database):
    """Brings the tables up to date."""

    async def migrate(self, migrations: list[Migration] | None = None) -> list[int]:
        """Apply what is pending, all or nothing; returns the numbers applied. Safe to call at once twice.

        Raises SchemaError where the database is newer or made by other files, StoreUnavailableError.
        """
        known = load() if migrations is None else migrations
        async with self.transaction(LIMIT_S) as cursor:
            await cursor.execute(query("no_statement_limit"))
            await cursor.execute(query("migration_lock"))
            await cursor.execute(query("make_migration_table"))
            todo = pending(known, await fetch(cursor, Applied, "applied_migrations"))
            for one in todo:
                await cursor.execute(one.text.encode())
                await cursor.execute(
                    query("note_migration"),
                    {"number": one.number, "name": one.name, "checksum": one.checksum},
                )
        return [one.number for one in todo]
