"""What a benchmark found: a table for people and, where asked for, one line of JSON."""

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from rich.console import Console
from rich.table import Table

from broker.mosquitto import MosquittoMissingError, find_program
from gateway.postgres_host import PostgresError, find_programs, total_memory_bytes

WIDE: Final = 150
Promised = tuple[float | None, float]
"""(floor, goal). A goal without a floor is one to be reached from below."""
_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Result:
    """One figure. `floor` and `goal` stand where one was promised; `note` is for people."""

    what: str
    figure: float
    unit: str
    floor: float | None = None
    goal: float | None = None
    note: str = ""

    @classmethod
    def of(
        cls, what: str, figure: float, unit: str, *, promised: Promised | None = None, note: str = ""
    ) -> Self:
        """Make one, its figure shortened to the digits that are worth reading."""
        floor, goal = promised or (None, None)
        return cls(what, _round(figure), unit, floor, goal, note)

    @property
    def verdict(self) -> str:
        """How the figure stands to what was promised: empty where nothing was."""
        if self.goal is None:
            return ""
        if self.floor is None:
            return "goal reached" if self.figure >= self.goal else "below the goal"
        more_is_better = self.goal > self.floor
        if self.figure >= self.goal if more_is_better else self.figure <= self.goal:
            return "goal reached"
        if self.figure >= self.floor if more_is_better else self.figure <= self.floor:
            return "above the floor"
        return "MISSED"


@dataclass(slots=True)
class Report:
    """A benchmark's results. `remarks` say what is missing and why, below the table."""

    bench: str
    results: list[Result] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(
        self,
        what: str,
        figure: float,
        unit: str,
        *,
        promised: Promised | None = None,
        note: str = "",
    ) -> None:
        """Note a figure."""
        self.results.append(Result.of(what, figure, unit, promised=promised, note=note))

    def print(self, *, as_json: bool) -> None:
        """Write the table and, as the last line of standard output, the JSON."""
        console = Console()
        if not console.is_terminal:  # a log breaks no lines
            console = Console(width=WIDE)
        table = Table(title=f"enms bench {self.bench}")
        table.add_column("what", no_wrap=True)
        table.add_column("figure", justify="right", no_wrap=True)
        for name in ("unit", "floor", "goal", "", ""):
            table.add_column(name)
        for one in self.results:
            promised = ["" if limit is None else f"{limit:g}" for limit in (one.floor, one.goal)]
            table.add_row(one.what, f"{one.figure:,.15g}", one.unit, *promised, one.verdict, one.note)
        console.print(table)
        for remark in self.remarks:
            console.print(f"[bold]{remark}[/bold]", highlight=False)
        if as_json:
            print(self.as_json())  # noqa: T201  the last line of standard output is the JSON

    def as_json(self) -> str:
        """Return the one object that other programs read."""
        results = [asdict(one) for one in self.results]
        return json.dumps(
            {"bench": self.bench, "machine": machine(), "results": results, "remarks": self.remarks}
        )


def machine() -> dict[str, str | int]:
    """Return what the figures were measured on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{total_memory_bytes() / _GIB:.1f} GiB",
        "os": platform.freedesktop_os_release().get("PRETTY_NAME", platform.platform()),
        "python": platform.python_version(),
        "mosquitto": _mosquitto(),
        "postgresql": _postgresql(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _mosquitto() -> str:
    try:
        return _version([find_program(), "-h"])
    except MosquittoMissingError:
        return "not installed"


def _postgresql() -> str:
    try:
        return _version([str(find_programs().postgres), "--version"])
    except PostgresError:
        return "not installed"


def _round(figure: float) -> float:
    """Keep four digits of what is small; large numbers stay whole."""
    return round(figure) if abs(figure) >= 10_000 else float(f"{figure:.4g}")  # noqa: PLR2004


def _cpu() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _version(command: list[str]) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return found[0] if found else "unknown"
