"""The benchmarks of the detector, as commands."""

from pathlib import Path
from typing import Annotated

import typer

from enms.bench.command import Folder, Json, run_bench


def latency_command(
    *,
    machines: Annotated[int, typer.Option(min=2, max=99_999, help="Machines, each at 1 Hz.")] = 1000,
    seconds: Annotated[int, typer.Option(min=10, help="For how long machines jump.")] = 60,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """From a machine's message to the anomaly in a client over WebSocket, and what each hop takes."""
    from enms.bench.latency import Asked, latency  # noqa: PLC0415  none of it for `enms --help`

    run_bench(lambda bars: latency(Asked(machines, seconds, folder), bars), as_json=json)


def score_command(
    *,
    machines: Annotated[int, typer.Option(min=0, help="Machines with a residual model each.")] = 10_000,
    forest_machines: Annotated[int, typer.Option(min=0, help="Machines with an isolation forest.")] = 1000,
    ticks: Annotated[int, typer.Option(min=5, help="Ticks that are measured.")] = 60,
    json: Json = False,
) -> None:
    """One row of each of many machines scored in one go, beside scikit-learn asked machine by machine."""
    from enms.bench.score import Asked, score  # noqa: PLC0415  none of it for `enms --help`

    run_bench(lambda bars: score(Asked(machines, forest_machines, ticks), bars), as_json=json)


def detect_command(
    *,
    data: Annotated[
        Path,
        typer.Option(
            help="Folder with skab/, skab-normal/, nab/, energy-injected/, energy-baseline/.",
            exists=True,
            file_okay=False,
        ),
    ],
    fresh: Annotated[int, typer.Option(min=0, help="Injections of our own into the clean meter.")] = 10,
    never_refitted: Annotated[
        bool, typer.Option(help="Run all a second time, with the first model to the end.")
    ] = True,
    halves: Annotated[
        bool, typer.Option("--halves", help="How figures spread over halves of files.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Two files of each family.")] = False,
    json: Json = False,
) -> None:
    """Score recorded faults row by row as live rows are, beside published figures."""
    from enms.bench.detect import Asked, detect  # noqa: PLC0415  none of it for `enms --help`

    asked = Asked(data, fresh, never_refitted, quick, halves)
    run_bench(lambda bars: detect(asked, bars), as_json=json)


def factory_command(
    *,
    machines: Annotated[int, typer.Option(min=1, help="Machines of each plant.")] = 14,
    days: Annotated[float, typer.Option(min=0.5, max=60, help="Days that are judged.")] = 7.0,
    train_days: Annotated[float, typer.Option(min=0.5, max=60, help="Days before, to learn from.")] = 7.0,
    step_s: Annotated[float, typer.Option(min=1, max=900, help="Seconds between rows.")] = 60.0,
    faults: Annotated[bool, typer.Option(help="The plant with faults, beside the one without.")] = True,
    seed: Annotated[int, typer.Option(help="Same seed, same plants.")] = 11,
    json: Json = False,
) -> None:
    """Let a simulated factory live with faults of every kind, and without: found, how late, as what."""
    from enms.bench.factory import Asked, factory  # noqa: PLC0415  none of it for `enms --help`

    asked = Asked(machines, days, train_days, step_s, faults, seed)
    run_bench(lambda bars: factory(asked, bars), as_json=json)
