"""The file of an outbox: SQLite, used by one thread and one process at a time.

Everything of one `write` is in the file when it returns, also if the power fails: numbers that were given
out are never given out again.
"""

import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import structlog

FORMAT: Final = 1
_BOOT_BYTES: Final = 16
_LOCK_S: Final = 1.0
_SCHEMA: Final = """
CREATE TABLE outbox (format INTEGER NOT NULL, boot TEXT NOT NULL, next_seq INTEGER NOT NULL);
CREATE TABLE message (
    seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL, size INTEGER NOT NULL
);
"""
log = structlog.get_logger()


class OutboxError(Exception):
    """The family of what is wrong with an outbox."""


class OutboxInUseError(OutboxError):
    """Another process has the outbox open; a source is one process, so stop the other one first."""


class OutboxDamagedError(OutboxError):
    """The file cannot be read any more; it is set aside when it is opened the next time."""


class OutboxFullDiskError(OutboxError):
    """The file could not be written to, for want of space or by an error of the disk; nothing was written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in the outbox; `topic` is relative to the root."""

    seq: int
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """What the file holds: `first` is its lowest number, or the next to be given where it holds nothing."""

    rows: int
    size_bytes: int
    first: int
    next_seq: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a file may hold: rows, and bytes of topics and payloads."""

    rows: int
    size_bytes: int


class OutboxFile:
    """An open file. `open` makes it, with its folder, where there is none."""

    def __init__(self, path: Path, connection: sqlite3.Connection, boot: str, held: Held) -> None:
        self.path = path
        self.boot = boot
        self.held = held
        self._connection = connection

    @classmethod
    def open(cls, path: Path, now: datetime) -> Self:
        """Open or make the file. A damaged one is set aside and a new one begun, with a new boot.

        Raises OutboxInUseError.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return cls._open(path)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise OutboxInUseError(f"{path} is in use by another process; stop it first") from error
            why = str(error)
        except (sqlite3.DatabaseError, _ForeignError) as error:
            why = str(error)
        aside = path.with_name(f"{path.name}.damaged-{now.astimezone(UTC):%Y%m%dT%H%M%S%f}")
        for ending in ("", "-wal", "-shm"):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(aside.with_name(aside.name + ending))
        log.error("the outbox is damaged; it is set aside and a new one begun", aside=str(aside), why=why)
        return cls._open(path)

    @classmethod
    def _open(cls, path: Path) -> Self:
        connection = sqlite3.connect(path, timeout=_LOCK_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("PRAGMA schema_version").fetchone() == (0,):
                connection.execute("COMMIT")
                boot = secrets.token_urlsafe(_BOOT_BYTES)
                connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}")
                connection.execute("INSERT INTO outbox VALUES (?, ?, 1)", (FORMAT, boot))
            else:
                _check(connection)
            connection.execute("COMMIT")
            boot, next_seq = connection.execute("SELECT boot, next_seq FROM outbox").fetchone()
            rows, size = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM message").fetchone()
            (first,) = connection.execute("SELECT coalesce(min(seq), ?) FROM message", (next_seq,)).fetchone()
        except BaseException:
            connection.close()
            raise
        return cls(path, connection, boot, Held(rows, size, first, next_seq))

    def write(self, entries: Sequence[Entry], committed: int, limits: Limits | None) -> int:
        """Forget what is at or below `committed`, add entries, and forget the oldest above the limits.

        Returns how many were forgotten for want of room. Raises OutboxFullDiskError, and then nothing
        changed, or OutboxDamagedError.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            held = self._forget(self.held, committed)
            held = self._add(held, entries)
            dropped = 0
            if limits is not None and (through := self._too_many(held, limits)):
                rows_before = held.rows
                held = self._forget(held, through)
                dropped = rows_before - held.rows
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise OutboxFullDiskError(f"{self.path} cannot be written to: {error}") from error
        except sqlite3.DatabaseError as error:
            raise _damaged(self.path, error) from error
        self.held = held
        return dropped

    def read(self, after: int, most: int, most_bytes: int) -> list[Entry]:
        """Return the next messages above `after`, in order; at least one where there is one.

        Raises OutboxDamagedError.
        """
        found: list[Entry] = []
        size = 0
        asked = "SELECT seq, topic, payload FROM message WHERE seq > ? ORDER BY seq LIMIT ?"
        try:
            for row in self._connection.execute(asked, (after, most)):
                found.append(Entry(*row))
                size += len(found[-1].payload)
                if size >= most_bytes:
                    break
        except sqlite3.DatabaseError as error:
            raise _damaged(self.path, error) from error
        return found

    def close(self) -> None:
        """Close the file; it must not be used after."""
        self._connection.close()

    def _add(self, held: Held, entries: Sequence[Entry]) -> Held:
        if not entries:
            return held
        rows = [(one.seq, one.topic, one.payload, size_of(one.topic, one.payload)) for one in entries]
        self._connection.executemany("INSERT INTO message VALUES (?, ?, ?, ?)", rows)
        next_seq = entries[-1].seq + 1
        self._connection.execute("UPDATE outbox SET next_seq = ?", (next_seq,))
        first = held.first if held.rows else entries[0].seq
        return Held(held.rows + len(rows), held.size_bytes + sum(row[3] for row in rows), first, next_seq)

    def _forget(self, held: Held, through: int) -> Held:
        if through < held.first:
            return held
        rows, size = self._connection.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM message WHERE seq <= ?", (through,)
        ).fetchone()
        self._connection.execute("DELETE FROM message WHERE seq <= ?", (through,))
        first = min(through + 1, held.next_seq)
        return Held(held.rows - rows, held.size_bytes - size, first, held.next_seq)

    def _too_many(self, held: Held, limits: Limits) -> int:
        """Return the number up to which all must go so that the rest fits, 0 where everything does."""
        rows, size = held.rows - limits.rows, held.size_bytes - limits.size_bytes
        through = 0
        if rows > 0 or size > 0:
            sizes: Iterable[tuple[int, int]] = self._connection.execute(
                "SELECT seq, size FROM message ORDER BY seq"
            )
            for through, one in sizes:  # noqa: B007  the last one is what is asked for
                rows, size = rows - 1, size - one
                if rows <= 0 and size <= 0:
                    break
        return through


class _ForeignError(Exception):
    """The file can be read but is no outbox of ours."""


def _damaged(path: Path, error: sqlite3.DatabaseError) -> OutboxDamagedError:
    return OutboxDamagedError(f"{path} is damaged: {error}; start again, and it is set aside")


def _check(connection: sqlite3.Connection) -> None:
    """Raise _ForeignError or sqlite3.DatabaseError where the file is not a sound outbox of ours."""
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise _ForeignError("its pages contradict each other")
    if connection.execute("SELECT format FROM outbox").fetchall() != [(FORMAT,)]:
        raise _ForeignError(f"it is not an outbox of format {FORMAT}")


def size_of(topic: str, payload: bytes) -> int:
    """Return how many bytes a message counts for."""
    return len(topic) + len(payload)
