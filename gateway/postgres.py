"""PostgreSQL as a private child: its folder, its first start, the command that runs it.

The cluster listens on 127.0.0.1 alone, has no unix socket (their paths may have 107 bytes, data folders are
longer) and one superuser, `enms`, with a password. Started as root it runs as the system user `postgres`,
because PostgreSQL refuses to run as root.
"""

import asyncio
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway.postgres_host import (
    Identity,
    PostgresError,
    Programs,
    find_programs,
    identity,
    leftovers,
    postmaster,
    require_reachable,
    total_memory_bytes,
)

ROLE: Final = "enms"
DATABASE: Final = "enms"
STOPPING_LIMIT_S: Final = 30.0
_MIB: Final = 1024 * 1024
_POLL_S: Final = 0.05


class PostgresInUseError(PostgresError):
    """Another process runs a database in this folder."""


class PostgresNotReadyError(PostgresError):
    """The database did not take connections in time."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to run the child. `stop_signal` asks it to end soon, rolling back what is open."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    stop_signal: signal.Signals = signal.SIGINT


@dataclass(slots=True)
class Postgres:
    """A private cluster in `folder`. `port` 0 means any that is free; the same again if it still is.

    `prepare`, then run `command`, then await `ready`. `url` and `port` are settled by `prepare`.
    """

    folder: Path
    password: str = field(repr=False)
    port: int = 0

    @property
    def url(self) -> str:
        """The address to connect to, password included: not for logs."""
        return f"postgresql://{ROLE}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def _cluster(self) -> Path:
        return self.folder / "cluster"

    def prepare(self) -> None:
        """Make the folder fit to start in: the cluster made once, what a crash left cleared, a port chosen.

        Blocks for seconds the first time. Raises PostgresError, or a subclass, with what to do about it.
        """
        self.folder = self.folder.absolute()
        user = identity()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        user.own(self.folder)
        require_reachable(self.folder, user)
        programs = find_programs(_version_of(self._cluster))
        if not self._cluster.exists():
            self._create(programs, user)
        self._clear_crash()
        self._choose_port()

    def command(self) -> Command:
        """Return how to run the database in the foreground, after `prepare`.

        It logs to stderr; it ends when the process that started it dies.
        """
        user = identity()
        programs = find_programs(_version_of(self._cluster))
        settings = [part for name, value in self._settings().items() for part in ("-c", f"{name}={value}")]
        argv = (*user.prefix(), str(programs.postgres), "-D", str(self._cluster), *settings)
        return Command(argv=argv, env=user.env(), cwd=self.folder)

    async def ready(self, timeout_s: float) -> None:
        """Return once the database takes connections; raises PostgresNotReadyError after `timeout_s`."""
        probe = find_programs(_version_of(self._cluster)).pg_isready
        deadline = time.monotonic() + timeout_s
        while True:
            child = await asyncio.create_subprocess_exec(
                probe, "-q", "-h", "127.0.0.1", "-p", str(self.port), "-d", DATABASE, "-U", ROLE, "-t", "1"
            )
            if await child.wait() == 0:
                return
            if time.monotonic() >= deadline:
                msg = (
                    f"PostgreSQL in {self.folder} takes no connections on port {self.port} after "
                    f"{timeout_s:g} s; what it says is in its log"
                )
                raise PostgresNotReadyError(msg)
            await asyncio.sleep(_POLL_S)

    def _settings(self) -> dict[str, str]:
        memory_mib = total_memory_bytes() // _MIB
        return {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "60",
            "shared_buffers": f"{max(64, min(1024, memory_mib // 8))}MB",
            "effective_cache_size": f"{max(128, memory_mib // 2)}MB",
            "work_mem": "16MB",
            "maintenance_work_mem": "128MB",
            # Checkpoints far apart: each makes the next write of every page twice as large.
            "max_wal_size": "4GB",
            "min_wal_size": "256MB",
            "checkpoint_timeout": "15min",
            "wal_buffers": "16MB",
            # What is acknowledged to a machine has been written to the disk.
            "synchronous_commit": "on",
            "random_page_cost": "1.1",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_destination": "stderr",
            "logging_collector": "off",
            "log_min_messages": "warning",
            "log_checkpoints": "off",
            "log_line_prefix": "%m [%p] ",
        }

    def _create(self, programs: Programs, user: Identity) -> None:
        """Make the cluster beside its place and move it there whole: a crash leaves no half of one."""
        with tempfile.TemporaryDirectory(prefix="new-", dir=self.folder) as name:
            place = Path(name)
            secret = place / "password"
            secret.touch(mode=0o600)
            secret.write_text(f"{self.password}\n")
            user.own(place)
            user.own(secret)
            fresh = place / "cluster"
            self._run(
                [
                    str(programs.initdb),
                    f"--pgdata={fresh}",
                    f"--username={ROLE}",
                    f"--pwfile={secret}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--data-checksums",
                    "--no-instructions",
                ],
                user,
            )
            self._run(
                [str(programs.postgres), "--single", "-D", str(fresh), "postgres"],
                user,
                f"CREATE DATABASE {DATABASE}\n",
            )
            fresh.rename(self._cluster)

    def _run(self, argv: list[str], user: Identity, words: str = "") -> None:
        done = subprocess.run(
            [*user.prefix(), *argv],
            input=words,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=user.env(),
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-800:]
            msg = f"{Path(argv[0]).name} failed in {self.folder}: {said}"
            raise PostgresError(msg)

    def _clear_crash(self) -> None:
        """Wait for a database that is on its way out, refuse one that runs, forget one that died."""
        deadline = time.monotonic() + STOPPING_LIMIT_S
        while found := postmaster(self._cluster):
            if not found.stopping or time.monotonic() >= deadline:
                msg = (
                    f"PostgreSQL already runs in {self.folder} (process {found.pid}): another enms uses this "
                    "data folder; stop it, or choose another one with --data-dir"
                )
                raise PostgresInUseError(msg)
            time.sleep(_POLL_S)
        # A number that another program got since would make PostgreSQL refuse to start.
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        while pids := leftovers(self._cluster):
            if time.monotonic() >= deadline:
                msg = (
                    f"processes {', '.join(map(str, pids))} of a database that died still work in "
                    f"{self.folder}; end them with: kill {' '.join(map(str, pids))}"
                )
                raise PostgresInUseError(msg)
            time.sleep(_POLL_S)

    def _choose_port(self) -> None:
        if self.port and not _free(self.port):
            msg = f"port {self.port} of 127.0.0.1 is taken; give the database another one, or 0 for any"
            raise PostgresInUseError(msg)
        remembered = self.folder / "port"
        if not self.port:
            self.port = _remembered(remembered) or _any_free_port()
        remembered.write_text(f"{self.port}\n")


def _version_of(cluster: Path) -> int | None:
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def _remembered(path: Path) -> int | None:
    try:
        port = int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return port if 0 < port < 2**16 and _free(port) else None


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As PostgreSQL itself does: connections of the last run that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
