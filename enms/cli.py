"""The command `enms`: reads what was given, and starts the house it is for."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import structlog
import typer
from pydantic import ValidationError

from enms.bench.cli import app as bench
from enms.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
users = typer.Typer(no_args_is_help=True, help="Add, list and remove users and devices of a running enms.")
app.add_typer(users, name="users")
app.add_typer(bench, name="bench")

DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept.", show_default=False)]
Host = Annotated[str | None, typer.Option(help="Address to listen on (127.0.0.1).", show_default=False)]
HttpPort = Annotated[int | None, typer.Option(help="Page and HTTP API (8000).", show_default=False)]
MqttPort = Annotated[int | None, typer.Option(help="MQTT (1883).", show_default=False)]
WsPort = Annotated[int | None, typer.Option(help="MQTT over WebSocket (9001).", show_default=False)]


@app.callback()
def enms() -> None:
    """EnMS Gateway: an MQTT-centred gateway for factory energy management.

    Every option can be set as an ENMS_... variable too.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@app.command()
def up(
    data_dir: DataDir = None,
    host: Host = None,
    http_port: HttpPort = None,
    mqtt_port: MqttPort = None,
    ws_port: WsPort = None,
    demo: Annotated[bool | None, typer.Option("--demo", help="Run the simulated factory too.")] = None,
) -> None:
    """Start everything on this machine, each part in its own process, and keep it running."""
    from broker.mosquitto import MosquittoMissingError
    from enms.supervisor import ChildFailedError
    from enms.up import CannotStartError, up
    from gateway.postgres_host import PostgresError

    settings = _settings(
        data_dir=data_dir, host=host, http_port=http_port, mqtt_port=mqtt_port, ws_port=ws_port, demo=demo
    )
    try:
        asyncio.run(up(settings))
    except (CannotStartError, ChildFailedError, MosquittoMissingError, PostgresError, TimeoutError) as error:
        _fail(str(error) or "a part was not ready in time; the logs are in the data folder")


@app.command()
def gateway(
    data_dir: DataDir = None,
    host: Host = None,
    http_port: HttpPort = None,
    worker: Annotated[
        str | None,
        typer.Option(
            help="This process's share of the machines: i/N, the first of three being 0/3, which also "
            "serves the page and the API.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the gateway: readings into the database, retained state, HTTP API and page."""
    from enms import parts
    from gateway.service import run
    from gateway.sharing import BadShareError, Share

    settings = _settings(data_dir=data_dir, host=host, http_port=http_port)
    if not settings.database_url:
        _fail("the gateway alone needs a database: set ENMS_DATABASE_URL, or run `enms up`")
    try:
        share = Share.parse(worker) if worker else Share(0, settings.workers)
    except BadShareError as error:
        _fail(str(error))
    asyncio.run(run(parts.worker(settings, share), parts.web(settings) if share.first else None))


@app.command()
def detector(data_dir: DataDir = None) -> None:
    """Run the detector: learns what is normal for each machine, publishes what is not."""
    from detector.service import run
    from enms import parts

    _until_stopped(run(parts.detector(_settings(data_dir=data_dir))))


@app.command()
def simulate(
    data_dir: DataDir = None,
    machines: Annotated[int | None, typer.Option(help="How many machines (14).", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same factory (1).", show_default=False)] = None,
    speed: Annotated[float, typer.Option(help="How much faster than the clock the factory lives.")] = 1.0,
    history_days: Annotated[
        float, typer.Option(min=0, max=60, help="Days of past to publish first, once for a data folder.")
    ] = 0.0,
) -> None:
    """Run the simulated factory on the bus."""
    from devices.simulator import run
    from enms import parts
    from enms.running import beside

    settings = _settings(data_dir=data_dir, machines=machines, seed=seed)
    _until_stopped(run(parts.simulator(beside(settings), speed, history_days)))


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="CSV files.")],
    machine: Annotated[str, typer.Option(help="The machine they are played as.")],
    speed: Annotated[
        float, typer.Option(min=0, help="Times as fast as recorded; 0 as fast as can be.")
    ] = 1.0,
    separator: Annotated[str | None, typer.Option(help="Found out if not given.", show_default=False)] = None,
    decimal: Annotated[
        str | None, typer.Option(help="Point or comma; found out.", show_default=False)
    ] = None,
    time_column: Annotated[str | None, typer.Option(help="Header; Date+Time joins two.")] = None,
    time_format: Annotated[str | None, typer.Option(help="As strptime takes it, or elapsed.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="A column to leave out.")] = None,
    unit: Annotated[list[str] | None, typer.Option(help="HEADER=UNIT.")] = None,
    rename: Annotated[list[str] | None, typer.Option(help="HEADER=METRIC.")] = None,
    first: Annotated[int | None, typer.Option(min=0, help="First row to play, from 0.")] = None,
    last: Annotated[int | None, typer.Option(min=0, help="Last row to play.")] = None,
    ends_at: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"],
            help="The time the file's last row gets, with a zone; when the replay is over, if not given.",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Play recorded data onto the bus, moved in time so that it ends now."""
    from devices.replay import ReadOptions, RecordingError
    from enms.replay import play

    try:
        options = ReadOptions(
            separator=separator,
            decimal=decimal,
            time_column=time_column,
            time_format=time_format,
            skip=tuple(skip or ()),
            units=_pairs("--unit", unit),
            renames=_pairs("--rename", rename),
            first=first,
            last=last,
        )
        _call(play(_settings(data_dir=data_dir), files, machine, options, speed=speed, ends_at=ends_at))
    except (RecordingError, ValueError) as error:
        _fail(str(error))


@app.command("import")
def import_readings(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="CSV or Parquet files.")],
    machine: Annotated[str | None, typer.Option(help="Whose readings they are.", show_default=False)] = None,
    separator: Annotated[str | None, typer.Option(help="Found out if not given.", show_default=False)] = None,
    decimal: Annotated[
        str | None, typer.Option(help="Point or comma; found out.", show_default=False)
    ] = None,
    time_column: Annotated[str | None, typer.Option(help="Header; Date+Time joins two.")] = None,
    time_format: Annotated[str | None, typer.Option(help="As strptime takes it.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="A column to leave out.")] = None,
    unit: Annotated[list[str] | None, typer.Option(help="HEADER=UNIT.")] = None,
    rename: Annotated[list[str] | None, typer.Option(help="HEADER=METRIC.")] = None,
    url: Annotated[str | None, typer.Option(help="A gateway elsewhere, with --token-file.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Holds an engineer's access token.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Import readings of any age from files: our own exports, or a time and a column a metric.

    The same file twice changes nothing, so what broke off is simply started again.
    """
    from devices.replay import ReadOptions
    from enms.api import Api, ApiError
    from enms.imports import run

    options = ReadOptions(
        separator=separator,
        decimal=decimal,
        time_column=time_column,
        time_format=time_format,
        skip=tuple(skip or ()),
        units=_pairs("--unit", unit),
        renames=_pairs("--rename", rename),
    )
    try:
        if url and token_file:
            api = Api(url.rstrip("/"), token_file.read_text().strip())
        elif url or token_file:
            _fail("--url and --token-file go together")
        else:
            api = Api.of(_settings(data_dir=data_dir))
        done = asyncio.run(run(api, files, machine, options))
    except ApiError as error:
        _fail(str(error))
    if not done:
        raise typer.Exit(1)


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    found = {}
    for one in given or ():
        name, equals, value = one.rpartition("=")
        if not equals or not name:
            _fail(f"{option} {one}: write HEADER=VALUE")
        found[name] = value
    return found


@app.command()
def init(data_dir: DataDir = None, host: Host = None) -> None:
    """Write secrets and the broker's configuration into the data folder, and start nothing."""
    from enms.init import init

    init(_settings(data_dir=data_dir, host=host))


@app.command("backup")
def back_up(
    folder: Annotated[Path, typer.Argument(help="A new folder for the backup.")], data_dir: DataDir = None
) -> None:
    """Back up the database, passwords and models beside a running enms."""
    from enms.backup import BackupError, back_up

    try:
        back_up(_settings(data_dir=data_dir), folder)
    except (BackupError, OSError) as error:
        _fail(str(error))


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="What enms backup wrote.")],
    data_dir: DataDir = None,
) -> None:
    """Make a new data folder of a backup; enms up starts from there."""
    from enms.backup import BackupError, restore

    try:
        asyncio.run(restore(_settings(data_dir=data_dir), folder))
    except (BackupError, OSError) as error:
        _fail(str(error))


@users.command("add")
def add_user(
    name: str,
    role: Annotated[str, typer.Option(help="viewer, operator, engineer; device, edge, flows, voice.")],
    machine: Annotated[list[str] | None, typer.Option(help="A machine an edge gateway speaks for.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Add a user or a device; the generated password is the last line. An existing one gets a new one."""
    from enms.user_commands import add

    _call(add(_settings(data_dir=data_dir), name, role, machine or []))


@users.command("list")
def list_users(data_dir: DataDir = None) -> None:
    """List the users and devices."""
    from enms.user_commands import show

    _call(show(_settings(data_dir=data_dir)))


@users.command("remove")
def remove_user(name: str, data_dir: DataDir = None) -> None:
    """Remove a user or a device, and cut it off at once."""
    from enms.user_commands import remove

    _call(remove(_settings(data_dir=data_dir), name))


def _settings(**given: object) -> Settings:
    try:
        return Settings.read(**given)
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        _fail(f"a setting is wrong: {words}")


def _call(work: Coroutine[Any, Any, None]) -> None:
    from enms.api import ApiError

    try:
        asyncio.run(work)
    except ApiError as error:
        _fail(str(error))


def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run a part until SIGTERM or SIGINT cancels it; then it tidies up and the code is 0."""

    async def run() -> None:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


def _fail(text: str) -> NoReturn:
    typer.echo(f"enms: {text}", err=True)
    raise typer.Exit(1)
