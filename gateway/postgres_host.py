"""What a private PostgreSQL needs of the machine: its programs, a user to run as, a folder in reach."""

import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OLDEST: Final = 15
SYSTEM_USER: Final = "postgres"
_PACKAGES: Final = "on Debian run: sudo apt-get install postgresql; on macOS: brew install postgresql"
_NEEDED: Final = ("postgres", "initdb", "pg_isready")
_INSTALLED: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_STATUS_LINE: Final = 7


class PostgresError(RuntimeError):
    """The private database cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The folder of one PostgreSQL's programs, and its major version."""

    folder: Path
    version: int

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """What makes a cluster."""
        return self.folder / "initdb"

    @property
    def pg_isready(self) -> Path:
        """What tells whether a server takes connections."""
        return self.folder / "pg_isready"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the database runs as: an unprivileged user when we are root, otherwise ourselves."""

    user: pwd.struct_passwd
    changed: bool

    def own(self, path: Path) -> None:
        """Hand a file or folder to that user."""
        if self.changed:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def prefix(self) -> tuple[str, ...]:
        """Return what stands before a command, so that it runs as that user and ends with its parent."""
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            if self.changed:
                msg = "setpriv is missing, so the database cannot leave root; install util-linux"
                raise PostgresError(msg)
            return ()
        become = (f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups")
        return (setpriv, *(become if self.changed else ()), "--pdeathsig=INT", "--")

    def env(self) -> dict[str, str]:
        """Return the environment the programs run in: nothing of ours but where programs are."""
        return {
            "PATH": os.defpath,
            "HOME": self.user.pw_dir,
            "USER": self.user.pw_name,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A server that runs in a cluster's folder."""

    pid: int
    stopping: bool


def identity() -> Identity:
    """Return who the database is to run as; raises PostgresError when we are root and there is nobody."""
    if os.geteuid() != 0:
        return Identity(pwd.getpwuid(os.geteuid()), changed=False)
    try:
        return Identity(pwd.getpwnam(SYSTEM_USER), changed=True)
    except KeyError:
        msg = (
            f"PostgreSQL does not run as root and there is no user {SYSTEM_USER}; {_PACKAGES}, or start "
            "enms as a plain user"
        )
        raise PostgresError(msg) from None


def find_programs(version: int | None = None) -> Programs:
    """Return the newest PostgreSQL installed, or the one of a major `version` where a cluster needs it.

    Raises PostgresError naming the package to install.
    """
    found = {programs.version: programs for programs in _installed()}
    if version is not None and version in found:
        return found[version]
    if version is not None:
        msg = f"the data was written by PostgreSQL {version}, which is not installed (found: {sorted(found)})"
        raise PostgresError(f"{msg}; install it, on Debian: sudo apt-get install postgresql-{version}")
    if not found or max(found) < OLDEST:
        have = f"only {max(found)} was found" if found else "it was not found"
        raise PostgresError(f"PostgreSQL {OLDEST} or newer is needed and {have}; {_PACKAGES}")
    return found[max(found)]


def _installed() -> Iterator[Programs]:
    for folder in dict.fromkeys(_folders()):
        if not all(os.access(folder / name, os.X_OK) for name in _NEEDED):
            continue
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
        if number := re.search(r"\(PostgreSQL\) (\d+)", said.stdout):
            yield Programs(folder, int(number[1]))


def _folders() -> Iterator[Path]:
    for pattern in _INSTALLED:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))
    if config := shutil.which("pg_config"):
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        if said.returncode == 0:
            yield Path(said.stdout.strip())
    if server := shutil.which("postgres"):
        yield Path(server).resolve().parent


def require_reachable(folder: Path, user: Identity) -> None:
    """Raise PostgresError when a closed parent keeps `user` out of `folder`."""
    if not user.changed:
        return
    inside = subprocess.run(
        [*user.prefix(), "test", "-w", str(folder), "-a", "-x", str(folder)], cwd="/", check=False
    )
    if inside.returncode == 0:
        return
    closed = next((parent for parent in reversed(folder.parents) if not _enters(parent, user)), folder)
    mode = stat.S_IMODE(closed.stat().st_mode)
    msg = (
        f"the database runs as user {user.user.pw_name}, who cannot enter {closed} (mode {mode:04o}) and so "
        f"not {folder}; choose a folder in the open with --data-dir, such as /var/lib/enms, or open the way "
        f"with: chmod o+x {closed}"
    )
    raise PostgresError(msg)


def _enters(folder: Path, user: Identity) -> bool:
    found = folder.stat()
    if found.st_uid == user.user.pw_uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == user.user.pw_gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def postmaster(cluster: Path) -> Postmaster | None:
    """Return the server that runs in `cluster`; one that died, or whose number went to another, is none."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
    if not _works_in(pid, cluster):
        return None
    return Postmaster(pid, stopping=len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "stopping")


def leftovers(cluster: Path) -> list[int]:
    """Return the processes that still work in `cluster`; a killed server's children live on for a moment."""
    if not Path("/proc/self").exists():
        return []
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return sorted(pid for pid in numbers if _works_in(pid, cluster))


def _works_in(pid: int, cluster: Path) -> bool:
    """Whether a process lives and its working directory is `cluster`, which is so for all of PostgreSQL's."""
    if not Path("/proc/self").exists():
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return True
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == cluster.resolve()
    except OSError:
        return False


def total_memory_bytes() -> int:
    """Return the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
