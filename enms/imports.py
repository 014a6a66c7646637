"""`enms import`: files of readings into the running gateway, with a progress bar."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from devices.replay import ReadOptions, RecordingError
from enms.api import Api, ApiError
from enms.import_files import Part, ReadingsFile

UNDER_WAY: Final = 3
BODY_MOST: Final = 1_000_000
PATIENCE_S: Final = 300.0
_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0
_LATER: Final = frozenset((429, 502, 503, 504))

Reason = tuple[str, str, str]


@dataclass(slots=True)
class Totals:
    """What became of the readings so far."""

    stored: int = 0
    doubled: int = 0
    refused: Counter[Reason] = field(default_factory=Counter)
    texts: dict[Reason, str] = field(default_factory=dict)

    @property
    def all(self) -> int:
        """How many readings have been dealt with."""
        return self.stored + self.doubled + self.refused.total()

    def refuse(self, machine: str, reason: str, name: str, count: int, text: str) -> None:
        """Count refusals; the first text of a kind is kept."""
        key = (machine, reason, name)
        self.refused[key] += count
        self.texts.setdefault(key, text)

    def take(self, answer: Any) -> None:
        """Add what the gateway answered."""
        self.stored += answer["stored"]
        self.doubled += answer["doubled"]
        for one in answer["refusals"]:
            self.refuse(one["machine"], one["reason"], one.get("field") or "", one["count"], one["text"])


async def run(api: Api, files: Sequence[Path], machine: str | None, options: ReadOptions) -> bool:
    """Send the files' readings; whether the gateway has all of them, and none was refused.

    What was sent before is there already, so after a failure the same command goes on. Raises ApiError where
    no gateway answers or it does not let us.
    """
    await api.get("machines")
    console = Console(stderr=True)
    totals = Totals()
    whole = True
    opened = [ReadingsFile(file, machine, options) for file in files]
    with _bar(console) as bar:
        task = bar.add_task("", total=sum(one.size_bytes for one in opened), readings=0, rate=0.0)
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            sender = _Sender(client, api, totals, partial(_tell, console))
            began = time.monotonic()
            before = 0
            for one in opened:
                try:
                    show = partial(_show, bar, task, totals, one, (began, before))
                    show = partial(_show, bar, task, totals, one, (began, before))
                    await _send_file(one, sender, show)
                except (RecordingError, ApiError, OSError) as error:
                    _tell(console, str(error))
                    whole = False
                before += one.size_bytes
    _report(console, totals, time.monotonic() - began)
    return whole and not totals.refused


async def _send_file(file: ReadingsFile, sender: "_Sender", show: Callable[[], None]) -> None:
    """Send what a file holds, some requests at a time; the file waits while they are under way."""
    parts = file.parts()
    room = asyncio.Semaphore(UNDER_WAY)

    async def send(part: Part) -> None:
        try:
            await sender.send(part)
        finally:
            room.release()
            show()

    try:
        async with asyncio.TaskGroup() as tasks:
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                await room.acquire()
                tasks.create_task(send(part))
    except ExceptionGroup as several:
        raise several.exceptions[0] from several


class _Sender:
    def __init__(
        self, client: httpx.AsyncClient, api: Api, totals: Totals, tell: Callable[[str], None]
    ) -> None:
        self._client = client
        self._tell = tell
        self._waits = False
        self._url = f"{api.url}/api/v1/import"
        self._headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}
        self._totals = totals

    async def send(self, part: Part) -> None:
        """Send a part and count what became of it. Raises ApiError."""
        self._totals.doubled += part.doubled
        for name, count in part.left_out.items():
            text = f"column {name!a} is text; leave it out with --skip {name!r}"
            self._totals.refuse(part.machine, "not_a_number", name, count, text)
        for body in await asyncio.to_thread(lambda: list(_bodies(part))):
            self._totals.take(await self._post(body))

    async def _post(self, body: bytes) -> Any:
        """Send until it is answered: the gateway or its database may be away for a while."""
        deadline = time.monotonic() + PATIENCE_S
        pause_s = _PAUSE_S
        while True:
            try:
                answer = await self._client.post(self._url, content=body, headers=self._headers)
            except httpx.TransportError as error:
                why = f"no answer from {self._url}: {error}"
            else:
                if answer.is_success:
                    self._waits = False
                    return answer.json()
                why = _detail(answer)
                if answer.status_code not in _LATER:
                    raise ApiError(why)
            if time.monotonic() + pause_s >= deadline:
                raise ApiError(f"{why}; gave up after {PATIENCE_S:g} s, the same command goes on from there")
            if not self._waits:
                self._tell(f"{why}; trying again")
            self._waits = True
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {answer.status_code}"


def _bodies(part: Part) -> Iterator[bytes]:
    """Give a part as bodies that are not too large, each of some of its times."""
    if not part.ts or not part.metrics:
        return
    columns: dict[str, object] = {"machine": part.machine, "ts": part.ts, "metrics": part.metrics}
    if any(part.arrived):
        columns["arrived"] = part.arrived
    if part.units:
        columns["units"] = part.units
    body = msgspec.json.encode(columns)
    if len(body) <= BODY_MOST or len(part.ts) == 1:
        yield body
        return
    for half in part.halves():
        yield from _bodies(half)


def _tell(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[readings]:,} readings"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=console,
    )


def _show(bar: Progress, task: TaskID, totals: Totals, file: ReadingsFile, begun: tuple[float, int]) -> None:
    began_s, bytes_before = begun
    bar.update(
        task,
        description=file.path.name,
        completed=bytes_before + file.done_bytes,
        readings=totals.all,
        rate=totals.all / max(time.monotonic() - began_s, 1e-6),
    )


def _report(console: Console, totals: Totals, passed_s: float) -> None:
    refused = totals.refused.total()
    console.print(
        f"{totals.all} readings in {passed_s:.1f} s ({totals.all / max(passed_s, 1e-6):,.0f}/s): "
        f"{totals.stored} stored, {totals.doubled} were there already, {refused} refused",
        highlight=False,
        soft_wrap=True,
    )
    if not refused:
        return
    table = Table("machine", "metric", "reason", "times", "such as")
    for (machine, reason, name), count in totals.refused.most_common(20):
        table.add_row(machine, name, reason, str(count), totals.texts[machine, reason, name])
    console.print(table)
