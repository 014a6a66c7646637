"""`enms backup` and `enms restore`: the database and the files that cannot be made again, in one folder."""

import asyncio
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from enms import parts
from enms.secret_files import SecretFiles
from enms.settings import Settings
from gateway.postgres import Postgres
from gateway.postgres_host import PostgresError, find_programs

DUMP: Final = "database.dump"
FILES: Final = "files.tar.gz"
KEPT: Final = ("secrets", "broker/dynamic-security.json", "models")
READY_S: Final = 60.0
STOP_S: Final = 60


class BackupError(RuntimeError):
    """It was not done; the message says why and how to go on."""


def back_up(settings: Settings, folder: Path) -> None:
    """Write a backup into a new folder, beside a running enms or one that does not run but its database does.

    The database is as of one moment. Raises BackupError.
    """
    url = settings.database_url or _running(settings).url
    fresh = folder.with_name(f"{folder.name}.new")
    if folder.exists():
        raise BackupError(f"{folder} is there already; a backup is written into a folder of its own")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    _run(settings, "pg_dump", url, "--format=custom", f"--file={fresh / DUMP}")
    with tarfile.open(fresh / FILES, "w:gz") as files:
        for name in KEPT:
            if (settings.data_dir / name).exists():
                files.add(settings.data_dir / name, name)
    fresh.rename(folder)  # whole, or not there


async def restore(settings: Settings, folder: Path) -> None:
    """Make a data folder of a backup, with a private database in it; `enms up` starts from there.

    Raises BackupError where the folder has a database already, or where the backup cannot be read.
    """
    database = parts.postgres(settings) if (folder / DUMP).is_file() and (folder / FILES).is_file() else None
    if database is None:
        raise BackupError(f"{folder} is not a backup: it needs {DUMP} and {FILES}")
    if (database.folder / "cluster").exists():
        msg = f"{settings.data_dir} has a database already; give an empty folder by --data-dir"
        raise BackupError(f"{msg}, or move this one away")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / FILES) as files:
        files.extractall(settings.data_dir, filter="data")
    database.password = SecretFiles(settings.data_dir).read("database")
    try:
        await asyncio.to_thread(database.prepare)
        await _fill(settings, database, folder / DUMP)
    except (BackupError, PostgresError) as error:
        shutil.rmtree(database.folder / "cluster", ignore_errors=True)
        raise BackupError(str(error)) from error


async def _fill(settings: Settings, database: Postgres, dump: Path) -> None:
    command = database.command()
    server = await asyncio.create_subprocess_exec(*command.argv, env=command.env, cwd=command.cwd)
    try:
        await database.ready(READY_S)
        words = ("--no-owner", "--exit-on-error", str(dump))
        await asyncio.to_thread(_run, settings, "pg_restore", database.url, *words)
    finally:
        # A clean stop: what was restored is on the disk when this is over.
        server.send_signal(command.stop_signal)
        await asyncio.wait_for(server.wait(), STOP_S)


def _running(settings: Settings) -> Postgres:
    """Return the private database of the data folder."""
    database = settings.data_dir / "postgres"
    try:
        port = int((database / "port").read_text())
        password = SecretFiles(settings.data_dir).read("database")
    except (OSError, ValueError) as error:
        msg = f"{settings.data_dir} holds no database of ours ({error}); give the folder by --data-dir"
        raise BackupError(msg) from error
    return Postgres(database, password, port)


def _version(settings: Settings) -> int | None:
    try:
        return int((settings.data_dir / "postgres" / "cluster" / "PG_VERSION").read_text())
    except (OSError, ValueError):
        return None


def _run(settings: Settings, program: str, url: str, *words: str) -> None:
    """Run one of PostgreSQL's programs; the password is not among its words, which everybody can list."""
    parsed = urlsplit(url)
    where = f"{parsed.username or ''}@{parsed.hostname or ''}" + (f":{parsed.port}" if parsed.port else "")
    plain = urlunsplit((parsed.scheme, where, parsed.path, parsed.query, ""))
    try:
        path = find_programs(_version(settings)).folder / program
    except PostgresError as error:
        raise BackupError(str(error)) from error
    done = subprocess.run(
        [path, f"--dbname={plain}", *words],
        env={**settings.environment(), "PGPASSWORD": unquote(parsed.password or "")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip()[-800:]}")
