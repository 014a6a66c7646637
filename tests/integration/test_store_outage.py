"""The database dies, freezes, is away, and comes back."""

import asyncio
import signal
import time

import psycopg
import pytest
from fixtures.postgres import PrivatePostgres
from fixtures.stored import batch, held

from gateway.postgres_host import leftovers
from gateway.store import Store, StoreTooSlowError, StoreUnavailableError


async def test_a_killed_database_is_told_within_a_second_and_used_again_when_back(
    store: Store, postgres: PrivatePostgres
) -> None:
    await store.write(batch(("a", "x", 9, 1.0)))
    postgres.kill()
    try:
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                await store.write(batch(("a", "x", 8, 2.0)))
            assert time.monotonic() - began < 1
    finally:
        postgres.start()
    began = time.monotonic()
    while True:
        try:
            await store.write(batch(("a", "x", 8, 2.0)))
            break
        except StoreUnavailableError:
            assert time.monotonic() - began < 3
            await asyncio.sleep(0.05)
    assert await held(store, "a") == {"x": [(9.0, 1.0), (8.0, 2.0)]}


async def test_no_acknowledged_write_is_lost_when_the_database_is_killed_under_load(
    store: Store, postgres: PrivatePostgres
) -> None:
    stored: list[float] = []
    numbers = iter(range(1, 100_000))
    killed = False
    deadline = time.monotonic() + 20
    while len(stored) < 400:
        assert time.monotonic() < deadline
        number = float(next(numbers))
        if len(stored) == 150 and not killed:
            killed = True
            writing = asyncio.create_task(store.write(batch(("a", "x", number, number))))
            await asyncio.sleep(0)
            postgres.kill()
            try:
                await asyncio.gather(writing, return_exceptions=True)
            finally:
                postgres.start()
        while True:
            try:
                await store.write(batch(("a", "x", number, number)))
                break
            except StoreUnavailableError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
        stored.append(number)
    found = (await held(store, "a"))["x"]
    assert sorted(value for _, value in found) == stored


async def test_a_store_may_be_opened_before_its_database(
    database_url: str, postgres: PrivatePostgres
) -> None:
    postgres.stop()
    early = Store(database_url)
    try:
        try:
            await early.open()
            with pytest.raises(StoreUnavailableError, match="Connection refused"):
                await early.migrate()
        finally:
            postgres.start()
        assert await early.migrate() != []
    finally:
        await early.close()


async def test_a_frozen_database_does_not_hang_the_caller(store: Store, postgres: PrivatePostgres) -> None:
    await store.ping()
    frozen = leftovers(postgres.postgres.folder / "cluster")
    try:
        for pid in frozen:
            postgres.signal_process(pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            await store.ping()
        assert time.monotonic() - began < 1
    finally:
        for pid in frozen:
            postgres.signal_process(pid, signal.SIGCONT)
    await store.ping()


async def test_a_database_that_freezes_in_the_middle_of_a_statement_does_not_hang_the_caller(
    database_url: str, postgres: PrivatePostgres
) -> None:
    impatient = Store(database_url, statement_limit_s=0.5)
    await impatient.open()
    frozen: list[int] = []
    try:
        async with impatient.transaction() as cursor:
            frozen = leftovers(postgres.postgres.folder / "cluster")
            for pid in frozen:
                postgres.signal_process(pid, signal.SIGSTOP)
            began = time.monotonic()
            with pytest.raises(psycopg.OperationalError):
                await cursor.execute("SELECT 1")
            assert time.monotonic() - began < 2
    except StoreUnavailableError:
        pass
    finally:
        for pid in frozen:
            postgres.signal_process(pid, signal.SIGCONT)
        await impatient.close()


async def test_a_statement_that_takes_too_long_is_ended(database_url: str) -> None:
    impatient = Store(database_url, statement_limit_s=0.2)
    await impatient.open()
    try:
        with pytest.raises(StoreTooSlowError, match="ask for less"):
            async with impatient.transaction() as cursor:
                await cursor.execute("SELECT pg_sleep(5)")
        await impatient.ping()
    finally:
        await impatient.close()


async def test_a_batch_that_takes_too_long_is_told_from_a_database_that_is_away(
    store: Store, database_url: str
) -> None:
    await store.write(batch(("a", "x", 9, 1.0)))
    impatient = Store(database_url, statement_limit_s=0.2)
    await impatient.open()
    try:
        with psycopg.connect(database_url) as other:
            other.execute("LOCK TABLE sample IN SHARE MODE")
            with pytest.raises(StoreTooSlowError):
                await impatient.write(batch(("a", "x", 8, 2.0), ("a", "y", 8, 2.0)))
        assert await held(store, "a") == {"x": [(9.0, 1.0)]}
        assert (await impatient.write(batch(("a", "x", 8, 2.0)))).stored == 1
    finally:
        await impatient.close()


async def test_a_closed_store_says_so(database_url: str) -> None:
    closed = Store(database_url)
    await closed.open()
    await closed.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await closed.ping()
