"""`enms up`: everything on one machine, each part in a process of its own, supervised."""

import asyncio
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import structlog

from enms import parts, running
from enms.api import FIRST_USER, Api, ApiError
from enms.secret_files import SecretFiles
from enms.settings import Settings
from enms.supervisor import Child, Supervisor, stop_left_overs

log = structlog.get_logger()


class CannotStartError(RuntimeError):
    """Something stands in the way of a start; the message says what, and how to go on."""


def check_ports(settings: Settings) -> None:
    """Raise CannotStartError naming the first port that is taken, and the option that changes it."""
    wanted = [("http_port", settings.http_port, "the page and the HTTP API")]
    if not settings.broker_host:
        wanted += [
            ("mqtt_port", settings.mqtt_port, "MQTT"),
            ("ws_port", settings.ws_port, "MQTT over WebSocket"),
        ]
    seen: dict[int, str] = {}
    for name, port, purpose in wanted:
        option = "--" + name.replace("_", "-")
        if port in seen:
            msg = f"port {port} is asked for twice, by {seen[port]} and by {option}; give one of them another"
            raise CannotStartError(msg)
        seen[port] = option
        try:
            family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
            with socket.create_server((settings.host, port), family=family, reuse_port=False):
                pass
        except OSError as error:
            msg = (
                f"port {port} of {settings.host}, wanted for {purpose}, cannot be used "
                f"({os.strerror(error.errno or 0)}); choose another with {option} or ENMS_{name.upper()}"
            )
            raise CannotStartError(msg) from error


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the data folder for this process. Raises CannotStartError where another one has it."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle = (folder / "up.lock").open("a")
    except OSError as error:
        msg = (
            f"{folder} cannot be written ({error.strerror}); choose another with --data-dir or ENMS_DATA_DIR"
        )
        raise CannotStartError(msg) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"another `enms up` runs with {folder}; stop it, or choose another folder with --data-dir"
            raise CannotStartError(msg) from error
        yield


async def up(settings: Settings) -> None:
    """Start everything, say where it is, and run until SIGTERM or SIGINT.

    Raises CannotStartError, or ChildFailedError with the last words of a part that would not start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with only_one(settings.data_dir):
        stop_left_overs(settings.data_dir)
        check_ports(settings)
        supervisor = Supervisor(settings.data_dir)
        try:
            starting = asyncio.create_task(_start(settings, supervisor))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopped
            else:
                starting.cancel()
        finally:
            await supervisor.stop()
            running.forget(settings)


async def _start(settings: Settings, supervisor: Supervisor) -> None:
    began = time.monotonic()
    settings = await _start_infrastructure(settings, supervisor)
    environment = settings.environment()
    workers = [
        _python(f"gateway-{number}", "gateway", environment, None, "--worker", f"{number}/{settings.workers}")
        for number in range(1, settings.workers)
    ]
    # The first is ready when all of them are.
    await supervisor.start(*workers, _python("gateway", "gateway", environment, settings))
    running.tell(settings)
    # Together, so that three tiers are left to stop one after the other: within 10 s even if all hang.
    clients = [_python("detector", "detector", environment, None)]
    if settings.demo:
        past = ("--history-days", str(settings.demo_history_days))
        clients.append(_python("simulate", "simulate", environment, None, *past))
    await supervisor.start(*clients)
    await _announce(settings, time.monotonic() - began)


async def _start_infrastructure(settings: Settings, supervisor: Supervisor) -> Settings:
    """Start our own database and broker where no outside ones are given; returns where they are."""
    secrets = SecretFiles(settings.data_dir)
    children = []
    if not settings.broker_host:
        broker = parts.mosquitto(settings)
        broker.prepare(secrets.broker_passwords())

        async def broker_ready() -> bool:
            return await asyncio.to_thread(broker.ready)

        children.append(Child("broker", broker.command(), broker_ready))
    if not settings.database_url:
        database = parts.postgres(settings)
        if not (database.folder / "cluster").exists():
            _say("Making the database ...")
        await asyncio.to_thread(database.prepare)
        command = database.command()

        async def database_ready() -> bool:
            await database.ready(30)
            return True

        children.append(
            Child(
                "database",
                command.argv,
                database_ready,
                environment=command.env,
                prepare=database.prepare,
                stop_signal=command.stop_signal,
                folder=command.cwd,
            )
        )
        settings = settings.model_copy(update={"database_url": database.url})
    await supervisor.start(*children)
    return settings


def _python(
    name: str, command: str, environment: dict[str, str], healthy: Settings | None, *options: str
) -> Child:
    """Return one of our own parts as a child; with `healthy`, it is ready when its API says ok."""

    async def ready() -> bool:
        if healthy is None:
            return True
        try:
            async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
                answer = await client.get(f"{healthy.http_url}/api/v1/health")
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    return Child(name, [sys.executable, "-m", "enms", command, *options], ready, environment=environment)


async def _announce(settings: Settings, took_s: float) -> None:
    """Print where everything is, with the log-in of the first start while it is good."""
    password = await _first_login(settings)
    lines = [
        "",
        f"EnMS Gateway is ready ({took_s:.1f} s).",
        f"  page       {settings.http_url}/",
        f"  log-in     {FIRST_USER}  {password}"
        if password
        else f"  log-in     {FIRST_USER}, password as given before",
        f"  MQTT       {settings.bus.host}:{settings.mqtt_port}   WebSocket {settings.ws_port}",
        f"  API        {settings.http_url}/docs",
        f"  data, logs {settings.data_dir}",
        "Add a device: enms users add press-7 --role device        Stop: Ctrl-C",
        "",
    ]
    _say("\n".join(lines))


async def _first_login(settings: Settings) -> str:
    """Return the password of the first user, made at the first start; empty when it was changed since."""
    path = settings.data_dir / "secrets" / "first-login"
    api = Api.of(settings)
    try:
        names = {one["name"] for one in (await api.get("users"))["users"]}
        if FIRST_USER not in names and not path.exists():
            made = await api.post("users", {"name": FIRST_USER, "role": "engineer"})
            path.touch(mode=0o600)
            path.write_text(made["password"])
    except ApiError as error:
        log.warning("the first log-in could not be made", why=str(error))
    return path.read_text() if path.exists() else ""


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
