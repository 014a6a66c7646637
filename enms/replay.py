"""`enms replay`: recorded data onto the bus, with a progress bar."""

import fcntl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from broker.bus import Bus
from devices import replay as player
from enms import parts
from enms.api import ApiError
from enms.running import beside
from enms.secret_files import SecretFiles
from enms.settings import Settings

USER = "replay"


async def play(
    settings: Settings,
    files: Sequence[Path],
    machine: str,
    options: player.ReadOptions,
    *,
    speed: float,
    ends_at: datetime | None,
) -> None:
    """Play files onto the bus of the running enms; returns when the broker has every row.

    Raises RecordingError for a file that cannot be read, ApiError where no enms has this data folder.
    """
    settings = beside(settings)
    console = Console(stderr=True)
    recordings = []
    for file in files:
        recording = player.read_file(file, options)
        recordings.append(recording)
        console.print(_mapping(file, recording))
        for note in recording.notes:
            console.print(f"  {note}")
    try:
        password = SecretFiles(settings.data_dir).read(f"broker-{USER}")
        lock = (settings.data_dir / "replay.lock").open("a")
    except OSError as error:
        msg = f"{error.filename} cannot be read ({error.strerror}); start `enms up`, or give its --data-dir"
        raise ApiError(msg) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = "another replay is playing; a broker user is one connection, so wait until it is over"
            raise ApiError(msg) from error
        bus = Bus(settings.bus, USER, password, version=parts.VERSION)
        with _bar(console) as bar:
            shown = bar.add_task(
                f"waiting for the broker at {settings.bus.host}:{settings.bus.port}", total=None
            )
            async with bus:
                await bus.wait_connected()
                now = datetime.now(UTC)
                plan = player.make_plan(recordings, machine, starts_at=now, speed=speed, ends_at=ends_at)
                bar.update(shown, description=machine, total=len(plan.sendings))
                sent = await player.replay(bus, plan, lambda at: bar.update(shown, completed=at.sent))
    first, last = plan.sendings[0].ts, plan.sendings[-1].ts
    console.print(f"{sent} rows as {machine}, from {first.isoformat()} to {last.isoformat()}")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
        console=console,
    )


def _mapping(file: Path, recording: player.Recording) -> Table:
    table = Table("column", "metric", "unit", title=str(file.name))
    for column in recording.columns:
        table.add_row(column.header, column.metric, "state" if column.text else column.unit)
    return table
