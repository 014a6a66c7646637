"""Tables made from nothing, made again, and refused where they are not ours."""

import asyncio
import os
import re
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from fixtures.stored import NOW, ago, batch, held, row

from gateway.store import Batch, Capability, Keeping, SchemaError, Store, StoreUnavailableError
from gateway.store.capability import capability_of, render
from gateway.store.migrations import Migration, ddl, load
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


async def test_readings_of_the_narrow_form_are_all_there_in_the_wide_form(database_url: str) -> None:
    grown = Store(database_url)
    await grown.open()
    try:
        assert await grown.migrate(load()[:1]) == [1]
        rows = [
            (machine, metric, ago(seconds), seconds / 7)
            for machine in ("press-7", "Żuraw")
            for number, metric in enumerate("dbca")
            for seconds in range(0, 90 * 86_400, 28_800)
            if (seconds // 28_800 + number) % 5 and not (machine == "Żuraw" and metric == "b")
        ]
        _write_narrow(database_url, rows)
        assert await grown.migrate() == [one.number for one in load()[1:]]
        for machine in ("press-7", "Żuraw"):
            expected: dict[str, list[tuple[float, float]]] = {}
            for name, metric, ts, value in sorted(rows):
                if name == machine:
                    expected.setdefault(metric, []).append(((NOW - ts).total_seconds(), value))
            assert await held(grown, machine) == expected
        again = await grown.write(Batch(rows=[row("press-7", 28_800, d=1.0, new=2.0)]))
        assert (again.stored, again.doubled) == (1, 1)
        async with grown.transaction() as cursor:
            await cursor.execute(
                "SELECT min(arrived - ts), max(arrived - ts) FROM sample WHERE ts < %s", [ago(1)]
            )
            assert await cursor.fetchall() == [(timedelta(seconds=1), timedelta(seconds=1))]
    finally:
        await grown.close()


def _write_narrow(database_url: str, rows: list[tuple[str, str, datetime, float]]) -> None:
    """Write readings as the first version of the tables did; `c` came 2 s, all else 1 s after their time."""
    with psycopg.connect(database_url) as connection:
        cursor = connection.cursor()
        cursor.executemany(
            "INSERT INTO machine (machine, name, first_seen) VALUES (%s, %s, %s)",
            [(machine, machine, NOW) for machine in dict.fromkeys(name for name, *_ in rows)],
        )
        cursor.executemany(
            "INSERT INTO series (machine, metric, unit) VALUES (%s, %s, '')",
            list(dict.fromkeys((machine, metric) for machine, metric, *_ in rows)),
        )
        mondays = {ts.date() - timedelta(days=ts.weekday()) for _, _, ts, _ in rows}
        cursor.executemany("SELECT make_reading_partition(%s)", [(monday,) for monday in sorted(mondays)])
        cursor.executemany(
            "INSERT INTO reading (series_id, ts, value, arrived)"
            " SELECT id, %s, %s, %s FROM series WHERE machine = %s AND metric = %s",
            [(ts, v, ts + timedelta(seconds=1 + (k == "c")), m, k) for m, k, ts, v in rows],
        )


@pytest.mark.parametrize("capability", Capability)
def test_the_sql_of_each_capability_is_the_one_that_was_looked_at(capability: Capability) -> None:
    kept = Path(__file__).parents[1] / "golden" / f"ddl_{capability}.sql"
    how = f"if it is meant to change: python -m gateway.store.ddl {capability} > tests/golden/{kept.name}"
    assert ddl(capability) == kept.read_text("utf-8"), how


async def test_a_database_without_timescaledb_is_plain_and_remains_so(
    database_url: str, store: Store
) -> None:
    assert store.capability is Capability.PLAIN
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT capability FROM capability").fetchall() == [("plain",)]
        connection.execute("UPDATE capability SET capability = 'apache'")
    again = Store(database_url)
    await again.open()
    try:
        await again.migrate()
        assert again.capability is Capability.APACHE
    finally:
        await again.close()


@pytest.mark.parametrize(
    ("edition", "capability"),
    [(None, "plain"), ("apache", "apache"), ("timescale", "timescale"), ("something new", "plain")],
)
def test_the_edition_of_timescaledb_says_what_can_be_done(edition: str | None, capability: str) -> None:
    assert capability_of(edition) is Capability(capability)


def test_sql_for_some_capabilities_is_only_for_those() -> None:
    text = "a\n-- only: apache, timescale\nb\n    -- only: timescale\nc\n    -- end\n-- end\nd\n"
    assert [render(text, one).split() for one in Capability] == [
        ["a", "d"],
        ["a", "b", "d"],
        ["a", "b", "c", "d"],
    ]


@pytest.mark.parametrize("text", ["-- only: plain\n", "-- end\n", "-- only: oracle\n-- end\n"])
def test_sections_that_are_not_whole_are_refused(text: str) -> None:
    with pytest.raises(SchemaError, match=r"-- (end|only)"):
        render(text, Capability.PLAIN)


TIMESCALE_URL = os.environ.get("ENMS_TEST_TIMESCALE_URL", "")


@pytest.mark.skipif(not TIMESCALE_URL, reason="NOT TESTED: TimescaleDB; give one in ENMS_TEST_TIMESCALE_URL")
async def test_readings_are_kept_in_hypertables_where_there_is_timescaledb() -> None:
    name = "enms_test_capability"
    with psycopg.connect(TIMESCALE_URL, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
    timescale = Store(TIMESCALE_URL.rsplit("/", 1)[0] + f"/{name}", keeping=Keeping(samples_days=30))
    await timescale.open()
    try:
        await timescale.migrate()
        assert timescale.capability in {Capability.APACHE, Capability.TIMESCALE}
        await timescale.make_partitions(NOW)
        await timescale.write(batch(("a", "x", 1, 1.0), ("a", "y", 1, 2.0), ("a", "x", 20 * 86_400, 3.0)))
        assert (await timescale.write(batch(("a", "x", 1, 9.0), ("a", "z", 1, 9.0)))).stored == 1
        assert await held(timescale, "a") == {
            "x": [(20 * 86_400.0, 3.0), (1.0, 1.0)],
            "y": [(1.0, 2.0)],
            "z": [(1.0, 9.0)],
        }
        dropped = await timescale.apply_keeping(NOW + timedelta(days=20))
        assert await timescale.apply_keeping(NOW + timedelta(days=20)) == []
        assert len(dropped) == (timescale.capability is Capability.APACHE)
    finally:
        await timescale.close()
        with psycopg.connect(TIMESCALE_URL, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


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
