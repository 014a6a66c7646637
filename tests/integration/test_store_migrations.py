"""Tables made from nothing, made again, and refused where they are not ours."""

import asyncio
import re

import psycopg
import pytest

from gateway.store import SchemaError, Store, StoreUnavailableError
from gateway.store.migrations import Migration, load
from gateway.store.queries import parse, query


async def test_migrations_are_applied_once(store: Store) -> None:
    assert await store.migrate() == []


async def test_two_processes_may_migrate_at_once(database_url: str) -> None:
    stores = [Store(database_url) for _ in range(4)]
    for one in stores:
        await one.open()
    try:
        applied = await asyncio.gather(*(one.migrate() for one in stores))
    finally:
        for one in stores:
            await one.close()
    assert sorted(applied, key=len) == [[], [], [], [one.number for one in load()]]


async def test_a_newer_database_is_refused(store: Store) -> None:
    newer = [*load(), Migration(len(load()) + 1, "later", "CREATE TABLE later (x int)")]
    assert await store.migrate(newer) == [len(newer)]
    with pytest.raises(SchemaError, match=r"\(later\).*newer enms"):
        await store.migrate()


async def test_a_changed_migration_is_refused(store: Store) -> None:
    first, *rest = load()
    changed = [Migration(first.number, first.name, first.text + "\n-- changed"), *rest]
    with pytest.raises(SchemaError, match="never changed"):
        await store.migrate(changed)


async def test_a_migration_that_fails_leaves_nothing_behind(store: Store, database_url: str) -> None:
    number = len(load()) + 1
    broken = [*load(), Migration(number, "broken", "CREATE TABLE half (x int); SELECT 1 / 0")]
    with pytest.raises(Exception, match="division by zero"):
        await store.migrate(broken)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
    assert await store.migrate() == []


async def test_a_wrong_password_says_so_and_does_not_hang(database_url: str) -> None:
    stranger = Store(re.sub(r":[^:@]*@", ":wrong@", database_url))
    await stranger.open()
    try:
        with pytest.raises(StoreUnavailableError, match="password authentication failed"):
            await stranger.ping()
    finally:
        await stranger.close()


def test_every_statement_is_named_described_and_ended() -> None:
    assert query("machines").startswith(b"SELECT")
    assert not query("machines").endswith(b";")
    with pytest.raises(KeyError):
        query("no such statement")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1;",
        "-- name: undescribed\nSELECT 1;\n",
        "-- name: one\n-- Is one.\nSELECT 1\n",
        "-- name: one\n-- Is one.\nSELECT 1;\n-- name: two\nSELECT 2;\n",
    ],
)
def test_a_statement_without_name_or_description_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"statement"):
        parse(text)
