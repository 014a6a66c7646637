"""The pool of connections, its limits in time, and one family of errors."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Self, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow, class_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from gateway.store.errors import BadValueError, StoreTooSlowError, StoreUnavailableError
from gateway.store.queries import query

PATIENCE_S: Final = 0.6
CHECK_S: Final = 0.35
CONNECT_S: Final = 2
POOL_SIZE: Final = 10
STATEMENT_LIMIT_S: Final = 15.0
# What the database says of values that can never be stored: data, constraints, sizes.
_BAD_VALUE_CLASSES: Final = ("22", "23", "54")
_TOO_SLOW: Final = "57014"

Row = TypeVar("Row")
Cursor = AsyncCursor[TupleRow]


class Database:
    """Connections to one PostgreSQL. It may be away when this is opened, and come and go later."""

    def __init__(self, url: str, *, statement_limit_s: float = STATEMENT_LIMIT_S) -> None:
        self._limit_s = statement_limit_s
        self._why_not = "no connection was made yet"
        # What it would log at every attempt is told by our errors instead.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._pool = AsyncConnectionPool(
            url,
            connection_class=_telling(self._note),
            kwargs={
                "connect_timeout": CONNECT_S,
                "application_name": "enms",
                "options": f"-c statement_timeout={round(statement_limit_s * 1000)} -c timezone=UTC",
            },
            min_size=1,
            max_size=POOL_SIZE,
            timeout=PATIENCE_S,
            # Give up at once: whoever asks next makes the pool try again, so it is back when the database is.
            reconnect_timeout=0.1,
            check=_check,
            open=False,
            name="enms",
        )

    async def open(self) -> None:
        """Begin to connect; does not wait."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the connections; those in use are given half a second."""
        await self._pool.close(timeout=0.5)

    async def ping(self) -> None:
        """Return when the database answers; raises StoreUnavailableError within a second otherwise."""
        await self._run("ping")

    @asynccontextmanager
    async def transaction(self, limit_s: float | None = None) -> AsyncIterator[Cursor]:
        """Give a cursor whose statements are stored together at the end, or not at all.

        Raises StoreUnavailableError within a second when the database is away, BadValueError when it
        refuses a value.
        """
        with translated(lambda: self._why_not):
            async with self._pool.connection() as connection:
                # The server ends what is slow; this is for when there is no server any more to end it.
                with _severed_after(connection, limit_s or self._limit_s + 1):
                    async with connection.cursor() as cursor:
                        yield cursor
                    await connection.commit()

    def _note(self, why_not: str) -> None:
        self._why_not = why_not

    async def _all(self, kind: Callable[..., Row], name: str, /, **values: Any) -> list[Row]:
        async with self.transaction() as cursor:
            return await fetch(cursor, kind, name, **values)

    async def _one(self, kind: Callable[..., Row], name: str, /, **values: Any) -> Row | None:
        return next(iter(await self._all(kind, name, **values)), None)

    async def _run(self, name: str, /, **values: Any) -> int:
        """Run a statement; returns how many rows it touched."""
        async with self.transaction() as cursor:
            await cursor.execute(query(name), values)
            return cursor.rowcount


async def fetch(cursor: Cursor, kind: Callable[..., Row], name: str, /, **values: Any) -> list[Row]:
    """Return a statement's rows, each as `kind` called with the columns by name."""
    connection: AsyncConnection[Any] = cursor.connection
    async with connection.cursor(row_factory=class_row(kind)) as rows:  # type: ignore[arg-type]
        await rows.execute(query(name), values)
        return await rows.fetchall()


async def _check(connection: AsyncConnection[TupleRow]) -> None:
    """Raise unless the server still answers on a connection that lay idle."""
    with _severed_after(connection, CHECK_S):
        await AsyncConnectionPool.check_connection(connection)


@contextmanager
def _severed_after(connection: AsyncConnection[TupleRow], limit_s: float) -> Iterator[None]:
    """Cut a connection whose server is frozen, so that who waits on it gets an error.

    Cancelling the wait instead would first ask the frozen server to cancel, for ten seconds.
    """
    timer = asyncio.get_running_loop().call_later(limit_s, _sever, connection)
    try:
        yield
    finally:
        timer.cancel()


def _sever(connection: AsyncConnection[TupleRow]) -> None:
    if not connection.closed:
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


def _telling(note: Callable[[str], None]) -> type[AsyncConnection[TupleRow]]:
    """Return a kind of connection that tells why it could not be made: the pool keeps that to itself."""

    class Telling(AsyncConnection[TupleRow]):
        @classmethod
        async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
            try:
                made = await super().connect(conninfo, **kwargs)
            except psycopg.Error as error:
                note(_said(error))
                raise
            note("all connections are in use")
            return made

    return Telling


@contextmanager
def translated(why_not: Callable[[], str] = str) -> Iterator[None]:
    """Turn the driver's errors into ours; `why_not` tells why there is no connection."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailableError(f"the database is away: {why_not()}") from error
    except PoolClosed as error:
        raise StoreUnavailableError("the connections to the database were closed") from error
    except psycopg.Error as error:
        raise _ours(error) from error
    except (UnicodeError, OverflowError) as error:
        raise BadValueError(f"not a value the database can hold: {error}") from error


def _ours(error: psycopg.Error) -> Exception:
    said = _said(error)
    state = error.sqlstate or ""
    if state == _TOO_SLOW:
        return StoreTooSlowError("the statement took longer than it may; ask for less at once")
    if isinstance(error, psycopg.DataError) or state.startswith(_BAD_VALUE_CLASSES):
        return BadValueError(f"the database refuses a value: {said}")
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) or state == "25006":
        return StoreUnavailableError(f"the database is away: {said}")
    return error  # our own SQL is wrong: that is for the log, not for a retry


def _said(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
