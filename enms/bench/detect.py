"""`enms bench detect`: recorded faults through the detector's live code path, beside published figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Final

from rich.progress import Progress as Bars

from detector.tuning import Tuning
from enms.bench import detect_data, detect_figures
from enms.bench.detect_data import NORMAL_TRAIN_ROWS, Recorded, Table
from enms.bench.detect_halves import halves
from enms.bench.detect_run import Judged, judge
from enms.bench.report import Report
from enms.bench.spread import gathered, processes_most

PROCESSES: Final = 2
QUICK_FILES: Final = 2
FIGURES: Final = {
    "skab": detect_figures.skab,
    "skab_normal": detect_figures.skab_normal,
    "nab": detect_figures.nab,
    "steel": detect_figures.steel,
    "steel_fresh": detect_figures.fresh,
}
"""What is said of each family, by its name."""
METER: Final = Path("energy-baseline") / "steel_15min_jan_sep.csv"


@dataclass(frozen=True, slots=True)
class Asked:
    """`fresh` injections into the clean meter; `never_refitted` runs all a second time without refits."""

    data: Path
    fresh: int = 10
    never_refitted: bool = True
    quick: bool = False
    halves: bool = False


class NothingError(RuntimeError):
    """The folder holds none of the families; the message says what was looked for."""


async def detect(asked: Asked, bars: Bars) -> Report:
    """Judge every file that is there and report each family. Raises NothingError, BadDataError."""
    families = {name: files for name, files in read(asked) if files}
    if not families:
        wanted = "skab/, skab-normal/, nab/, energy-injected/, energy-baseline/"
        raise NothingError(f"{asked.data} holds no recorded faults; it should have one of {wanted}")
    report = Report("detect")
    for refits in (True, False) if asked.never_refitted else (True,):
        judged = await _judge(families, bars, refits=refits)
        for name, files in judged.items():
            called = name if refits else f"{name}_never_refitted"
            report.results += FIGURES[name](files, called)
            if asked.halves and refits:
                report.results += halves(name, files)
    missing = [name for name in FIGURES if name not in families]
    if missing:
        report.remarks.append(f"LEFT OUT, for they are not in {asked.data}: {', '.join(missing)}")
    report.remarks.append("Settings: " + ", ".join(f"{name} {value}" for name, value in settings(Tuning())))
    return report


def read(asked: Asked) -> Iterator[tuple[str, list[Recorded]]]:
    """Yield each family with its files, none where its folder is missing. Raises BadDataError."""
    most = QUICK_FILES if asked.quick else None
    root, steel = asked.data, asked.data / "energy-injected"
    yield "skab", detect_data.skab(root / "skab")[:most]
    yield "skab_normal", detect_data.skab(root / "skab-normal", NORMAL_TRAIN_ROWS)[:most]
    yield "nab", detect_data.nab(root / "nab")[:most] if (root / "nab" / "windows.json").exists() else []
    labelled = [detect_data.energy(path) for path in sorted(steel.glob("*.csv"))][:most]
    yield "steel", labelled
    count = min(asked.fresh, QUICK_FILES) if asked.quick else asked.fresh
    meter = _meter(root / METER, labelled) if count and (root / METER).exists() else None
    yield "steel_fresh", [] if meter is None else [detect_data.injected(meter, at) for at in range(count)]


def live(given: tuple[Recorded, bool]) -> Judged:
    """Judge a file with the detector as it runs, in a process of its own; False: never refitted."""
    from detector.evaluate import Streamed  # noqa: PLC0415  scikit-learn, where it is needed

    recorded, refits = given
    return judge(recorded, Streamed(refits=refits))


def settings(tuning: object, before: str = "") -> Iterator[tuple[str, object]]:
    """Yield every setting as `group.name` with its value."""
    for one in fields(tuning) if is_dataclass(tuning) else ():
        value = getattr(tuning, one.name)
        if is_dataclass(value):
            yield from settings(value, f"{before}{one.name}.")
        else:
            yield f"{before}{one.name}", value


def _meter(path: Path, labelled: Sequence[Recorded]) -> Table:
    """Return the clean meter over the time of its labelled twin, so that the figures can be compared."""
    since = min((one.table.times[0] for one in labelled), default=None)
    return detect_data.clean_meter(path, since)


async def _judge(families: dict[str, list[Recorded]], bars: Bars, *, refits: bool) -> dict[str, list[Judged]]:
    every = [(name, file) for name, files in families.items() for file in files]
    # The longest first, so that no process is left with one at the end.
    every.sort(key=lambda one: -len(one[1].rest))
    task = bars.add_task("refitted as it runs" if refits else "never refitted", total=len(every))
    found = await gathered(
        live,
        [(file, refits) for _, file in every],
        processes_most(PROCESSES),
        lambda: bars.advance(task),
    )
    by_family: dict[str, list[Judged]] = {name: [] for name in families}
    for (name, _), one in zip(every, found, strict=True):
        by_family[name].append(one)
    return {name: sorted(files, key=lambda one: one.recorded.name) for name, files in by_family.items()}
