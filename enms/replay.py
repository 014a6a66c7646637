"""`enms replay`: recorded data onto the bus, with a progress bar."""

import asyncio
import fcntl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from broker.bus import Bus
from broker.outbox import Outbox, WhenFull
from broker.outbox_file import Limits
from broker.sender import OutboxSender
from devices import replay as player
from enms import parts
from enms.api import ApiError
from enms.running import beside
from enms.secret_files import SecretFiles
from enms.settings import Settings

USER = "replay"
KEPT: Final = Limits(rows=200_000, size_bytes=256 * 1024 * 1024)
NO_MARK_S: Final = 30.0
LOOK_S: Final = 0.1


async def play(
    settings: Settings,
    files: Sequence[Path],
    machine: str,
    options: player.ReadOptions,
    *,
    speed: float,
    ends_at: datetime | None,
) -> None:
    """Play files onto the bus of the running enms; returns when every row is in the database.

    Raises RecordingError for a file that cannot be read, ApiError where no enms has this data folder, or
    where what was sent is not stored.
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
        async with Outbox(parts.outbox(settings, USER), WhenFull.WAIT, KEPT) as outbox:
            bus = Bus(settings.bus, USER, password, version=parts.VERSION)
            run = _Run(bus, outbox, OutboxSender(bus, outbox), console)
            await run.play(recordings, machine, speed=speed, ends_at=ends_at)


@dataclass(frozen=True, slots=True)
class _Run:
    """One replay: what plays, what sends, and the bar that shows how much is stored."""

    bus: Bus
    outbox: Outbox
    sender: OutboxSender
    console: Console

    async def play(
        self,
        recordings: Sequence[player.Recording],
        machine: str,
        *,
        speed: float,
        ends_at: datetime | None,
    ) -> None:
        """Return when every row is in the database. Raises ApiError."""
        if rows := self.outbox.held.rows:
            self.console.print(f"{rows} rows of an earlier replay are sent again first")
        with _bar(self.console) as bar:
            address = self.bus.address
            shown = bar.add_task(f"waiting for the broker at {address.host}:{address.port}", total=None)
            async with self.bus, asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self.sender.run(), name="send")
                await self.bus.wait_connected()
                plan = player.make_plan(
                    recordings, machine, starts_at=datetime.now(UTC), speed=speed, ends_at=ends_at
                )
                bar.update(shown, description=machine, total=len(plan.sendings))
                before = self.outbox.held.next_seq
                playing = tasks.create_task(player.replay(self.bus, self.outbox, plan), name="play")
                stored = True
                while stored and not (playing.done() and self._stored_since(before) >= len(plan.sendings)):
                    stored = await self._some_stored(playing)
                    bar.update(shown, completed=min(self._stored_since(before), len(plan.sendings)))
                playing.cancel()
                sending.cancel()
        first, last = plan.sendings[0].ts, plan.sendings[-1].ts
        span = f"from {first.isoformat()} to {last.isoformat()}"
        if stored:
            self.console.print(f"{len(plan.sendings)} rows as {machine}, {span}")
        else:
            await self._tell_not_stored(f"{len(plan.sendings)} rows as {machine}, {span}")

    def _stored_since(self, before: int) -> int:
        return max(0, self.outbox.held.first - before)

    async def _some_stored(self, playing: asyncio.Task[int]) -> bool:
        """Wait a moment for the mark to move; False where nothing is to be hoped for any more."""
        now_s = asyncio.get_running_loop().time
        hoped_s, first = now_s(), self.outbox.held.first
        while self.outbox.held.first == first and not (playing.done() and not self.outbox.held.rows):
            if not self._only_waiting(playing):
                hoped_s = now_s()
            elif now_s() - hoped_s > NO_MARK_S:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    def _only_waiting(self, playing: asyncio.Task[int]) -> bool:
        """Whether the broker has everything, and nothing more comes before some of it is stored."""
        held = self.outbox.held
        sent = self.bus.connected and held.rows > 0 and self.sender.sent >= held.next_seq - 1
        return sent and (playing.done() or held.rows > KEPT.rows - player.AT_ONCE)

    async def _tell_not_stored(self, what: str) -> None:
        if self.sender.marked_at is not None:
            msg = (
                f"the broker has {what}, but the gateway stopped saying what it stored; what it did not is "
                f"kept in {self.outbox.path} and sent again by the next `enms replay`"
            )
            raise ApiError(msg)
        # A gateway that tells no marks would never let the file become empty.
        self.outbox.forget(self.outbox.boot, self.outbox.held.next_seq - 1)
        self.console.print(
            f"the broker has {what}; no gateway said within {NO_MARK_S:.0f} s that they are stored: "
            "it does not run, or is of an older version that does not tell"
        )


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
