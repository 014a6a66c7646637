"""`enms bench …`: measures the product on this machine, and says what was promised beside what was found."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from enms.settings import Settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from enms.bench.report import Report

app: Final = typer.Typer(
    no_args_is_help=True,
    help="Measure this machine: a broker, a database and a gateway of its own, removed afterwards.",
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        help="Where the temporary folder is made.", exists=True, file_okay=False, show_default=False
    ),
]
Workers = Annotated[int, typer.Option(min=1, max=8, help="Processes that take telemetry in.")]


@app.command("ingest")
def ingest_command(  # noqa: PLR0913  its options
    *,
    messages: Annotated[
        int, typer.Option(min=1000, help="Messages that count, of 5 metrics each.")
    ] = 200_000,
    machines: Annotated[int, typer.Option(min=1, max=99_999, help="Machines they are spread over.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each contender runs.")] = 3,
    memory_messages: Annotated[
        int, typer.Option(min=0, help="Watch the gateway's memory over so many messages more.")
    ] = 0,
    node_red: Annotated[
        Path | None, typer.Option(help="Where Node-RED is installed.", show_default=False)
    ] = None,
    install_node_red: Annotated[
        bool, typer.Option("--install-node-red", help="Fetch Node-RED if it is not there.")
    ] = False,
    workers: Workers = 1,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Messages stored a second, beside a C subscriber and a Node-RED flow under the same load."""
    from enms.bench.contest import Contest  # noqa: PLC0415  none of it for `enms --help`
    from enms.bench.ingest import Asked, ingest, node_red_folder  # noqa: PLC0415  none of it for `enms --help`

    asked = Asked(
        contest=Contest(messages, machines, workers, folder),
        rounds=rounds,
        memory_messages=memory_messages,
        node_red=node_red_folder(node_red, Settings.read().data_dir),
        install=install_node_red,
    )
    _run(lambda bars: ingest(asked, bars), as_json=json)


@app.command("sustain")
def sustain_command(  # noqa: PLR0913  its options
    *,
    machines: Annotated[int, typer.Option(min=50, max=99_999, help="Machines, each at 1 Hz.")] = 10_000,
    seconds: Annotated[int, typer.Option(min=5, help="For how long.")] = 600,
    metrics: Annotated[int, typer.Option(min=1, max=12, help="Readings a message.")] = 5,
    settle: Annotated[
        int, typer.Option(min=0, help="Seconds at the start that the lag is not judged by.")
    ] = 10,
    find_most: Annotated[
        bool, typer.Option("--search", help="Halve or double until the most is found.")
    ] = False,
    workers: Workers = 1,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Many machines at one message a second each: lag, losses, and where the processor time goes."""
    from enms.bench.sustain import Asked, search, sustain  # noqa: PLC0415  none of it for `enms --help`

    if settle >= seconds:
        raise typer.BadParameter(f"--settle {settle} leaves nothing of --seconds {seconds}")
    asked = Asked(machines, seconds, metrics, settle, workers, folder)
    _run(lambda bars: (search if find_most else sustain)(asked, bars), as_json=json)


@app.command("history")
def history_command(
    *,
    days: Annotated[int, typer.Option(min=1, help="How much past is filled in and asked for.")] = 365,
    times: Annotated[int, typer.Option(min=1, help="How often each question is asked.")] = 50,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Ask for a year at one reading a second, and for any day of it, over HTTP; then export it."""
    from enms.bench.history import Asked, history  # noqa: PLC0415  none of it for `enms --help`

    _run(lambda bars: history(Asked(days, times, folder), bars), as_json=json)


def _run(work: Callable[["Progress"], Awaitable["Report"]], *, as_json: bool) -> None:
    """Run a benchmark until it is done, or stopped by SIGINT or SIGTERM, and print what it found."""
    from rich.console import Console  # noqa: PLC0415  as above
    from rich.progress import (  # noqa: PLC0415  as above
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    from gateway.store import StoreError  # noqa: PLC0415  as above

    async def run() -> "Report":
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        task = asyncio.current_task()
        if task is not None:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with Progress(*columns, console=console) as bars:
            return await work(bars)

    try:
        with suppress(asyncio.CancelledError):
            asyncio.run(run()).print(as_json=as_json)
            return
    except (RuntimeError, OSError, StoreError) as error:
        typer.echo(f"enms bench: {error or 'a part was not ready in time'}", err=True)
        raise typer.Exit(1) from error
    typer.echo("enms bench: stopped; everything it started is gone", err=True)
    raise typer.Exit(1)
