"""How a benchmark is run from the command line: options they share, progress, Ctrl-C, the printed report."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from enms.bench.report import Report

Json = Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        help="Where the temporary folder is made.", exists=True, file_okay=False, show_default=False
    ),
]


def run_bench(work: Callable[["Progress"], Awaitable["Report"]], *, as_json: bool) -> None:
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
