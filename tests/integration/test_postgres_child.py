"""PostgreSQL as a private child: made once, refused twice, back after a crash."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from fixtures.broker import open_folder
from fixtures.postgres import PrivatePostgres

from gateway import postgres_host
from gateway.postgres import Postgres, PostgresInUseError, PostgresNotReadyError
from gateway.postgres_host import PostgresError, find_programs, leftovers


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    folder = open_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(shared_folder: Path) -> Iterator[PrivatePostgres]:
    """A server of this file's own, stopped after each test; its cluster is made once."""
    one = PrivatePostgres(shared_folder)
    yield one
    one.stop()


def wait_until_free(server: PrivatePostgres) -> None:
    deadline = time.monotonic() + 10
    while leftovers(server.postgres.folder / "cluster"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fetch(server: PrivatePostgres, words: str) -> tuple[object, ...]:
    with psycopg.connect(server.postgres.url) as connection:
        row = connection.execute(words.encode()).fetchone()
    assert row is not None
    return row


def test_it_is_private_safe_and_speaks_utf8(server: PrivatePostgres) -> None:
    server.start()
    settings = (
        "data_checksums",
        "listen_addresses",
        "unix_socket_directories",
        "synchronous_commit",
        "TimeZone",
    )
    shown = fetch(server, "SELECT " + ", ".join(f"current_setting('{name}')" for name in settings))
    assert shown == ("on", "127.0.0.1", "", "on", "UTC")
    database = "SELECT datname, pg_encoding_to_char(encoding), datcollate FROM pg_database"
    assert fetch(server, f"{database} WHERE datname = current_database()") == ("enms", "UTF8", "C.UTF-8")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(re.sub(r":[^:@]*@", ":wrong@", server.postgres.url))
    folder = server.postgres.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.rglob("password")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has somebody else to be")
def test_started_as_root_it_runs_as_somebody_else(server: PrivatePostgres) -> None:
    server.start()
    pids = leftovers(server.postgres.folder / "cluster")
    assert pids
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids}.isdisjoint({0})


def test_data_and_port_stay_over_a_restart(server: PrivatePostgres) -> None:
    server.start()
    port = server.postgres.port
    fetch(server, "SELECT 1 FROM set_config('x.y', '1', false)")
    with psycopg.connect(server.postgres.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    server.stop()
    again = PrivatePostgres(server.postgres.folder.parent)
    again.start()
    try:
        assert again.postgres.port == port
        assert fetch(again, "SELECT answer FROM kept") == (42,)
    finally:
        again.stop()


def test_another_port_is_taken_when_the_remembered_one_is_not_free(server: PrivatePostgres) -> None:
    server.postgres.prepare()
    remembered = server.postgres.port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", remembered))
        other.listen()
        second = Postgres(server.postgres.folder, "x")
        second.prepare()
        assert second.port != remembered
        with pytest.raises(PostgresInUseError, match=f"port {remembered} .* is taken"):
            Postgres(server.postgres.folder, "x", port=remembered).prepare()


def test_a_second_start_in_the_same_folder_is_refused(server: PrivatePostgres) -> None:
    server.start()
    with pytest.raises(PostgresInUseError, match=r"already runs in .*--data-dir"):
        Postgres(server.postgres.folder, server.postgres.password).prepare()
    assert fetch(server, "SELECT 1") == (1,)


def test_a_start_waits_for_a_database_that_is_on_its_way_out(server: PrivatePostgres) -> None:
    server.start()
    assert server._process is not None
    server._process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 10
    while True:  # until it has read the signal it counts as running
        try:
            Postgres(server.postgres.folder, server.postgres.password).prepare()
            break
        except PostgresInUseError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert leftovers(server.postgres.folder / "cluster") == []


def test_it_starts_after_a_kill_even_when_its_number_went_to_another_program(server: PrivatePostgres) -> None:
    server.start()
    with psycopg.connect(server.postgres.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS survivor AS SELECT 7 AS answer")
    server.kill()
    pid_file = server.postgres.folder / "cluster" / "postmaster.pid"
    other = subprocess.Popen(["sleep", "60"])
    try:
        pid_file.write_text(f"{other.pid}\n" + pid_file.read_text().split("\n", 1)[1])
        server.start()
        assert fetch(server, "SELECT answer FROM survivor") == (7,)
    finally:
        other.kill()
        other.wait()


def test_it_ends_with_the_process_that_started_it(server: PrivatePostgres) -> None:
    server.postgres.prepare()
    command = server.postgres.command()
    starter = (
        "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", starter, *command.argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=command.env,
        cwd=command.cwd,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        cluster = server.postgres.folder / "cluster"
        deadline = time.monotonic() + 10
        while (
            not (cluster / "postmaster.pid").exists()
            or "ready" not in (cluster / "postmaster.pid").read_text()
        ):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        parent.kill()
    wait_until_free(server)


async def test_ready_says_when_it_is_not(server: PrivatePostgres) -> None:
    server.postgres.prepare()
    with pytest.raises(PostgresNotReadyError, match="no connections on port"):
        await server.postgres.ready(0.2)
    server.start()
    await server.postgres.ready(5)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has somebody else to be")
def test_a_folder_behind_a_closed_one_is_refused_with_a_way_out(shared_folder: Path) -> None:
    closed = shared_folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(PostgresError, match=rf"cannot enter {closed} \(mode 0700\).*chmod o\+x {closed}"):
        Postgres(closed / "data" / "postgres", "x").prepare()


def test_a_machine_without_postgresql_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres_host, "_INSTALLED", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PostgresError, match="apt-get install postgresql"):
        find_programs()
    with pytest.raises(PostgresError, match="postgresql-99"):
        find_programs(99)


def test_an_old_postgresql_is_not_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("postgres", "initdb", "pg_isready"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
        program.chmod(0o755)
    monkeypatch.setattr(postgres_host, "_INSTALLED", ())
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(
        postgres_host.shutil, "which", lambda name: str(tmp_path / name) if name == "postgres" else None
    )
    with pytest.raises(PostgresError, match="only 14 was found"):
        find_programs()
