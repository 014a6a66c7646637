"""`enms bench …`: measures the product on this machine, and says what was promised beside what was found."""

from pathlib import Path
from typing import Annotated, Final

import typer

from enms.bench import cli_detector
from enms.bench.command import Folder, Json, run_bench
from enms.settings import Settings

app: Final = typer.Typer(
    no_args_is_help=True,
    help="Measure this machine: a broker, a database and a gateway of its own, removed afterwards.",
)

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
    run_bench(lambda bars: ingest(asked, bars), as_json=json)


@app.command("sustain")
def sustain_command(  # noqa: PLR0913  its options
    *,
    machines: Annotated[int, typer.Option(min=50, max=99_999, help="Machines, each at 1 Hz.")] = 10_000,
    seconds: Annotated[int, typer.Option(min=5, help="For how long.")] = 600,
    metrics: Annotated[int, typer.Option(min=1, max=12, help="Readings a message.")] = 5,
    settle: Annotated[
        int, typer.Option(min=0, help="Seconds at the start that the lag is not judged by.")
    ] = 10,
    detector: Annotated[
        bool, typer.Option("--detector/--no-detector", help="Score every row too, each machine by its model.")
    ] = True,
    learn_rows: Annotated[
        int, typer.Option(min=100, help="Rows that each machine's model is learnt from beforehand.")
    ] = 2000,
    find_most: Annotated[
        bool, typer.Option("--search", help="Halve or double until the most is found.")
    ] = False,
    workers: Workers = 1,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Many machines at one message a second each, stored and scored: lag, losses, processor time."""
    from enms.bench.sustain import Asked, search, sustain  # noqa: PLC0415  none of it for `enms --help`

    if settle >= seconds:
        raise typer.BadParameter(f"--settle {settle} leaves nothing of --seconds {seconds}")
    learnt = learn_rows if detector else 0
    asked = Asked(machines, seconds, metrics, settle, workers, folder, learnt)
    run_bench(lambda bars: (search if find_most else sustain)(asked, bars), as_json=json)


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

    run_bench(lambda bars: history(Asked(days, times, folder), bars), as_json=json)


app.command("latency")(cli_detector.latency_command)
app.command("score")(cli_detector.score_command)
app.command("detect")(cli_detector.detect_command)
app.command("factory")(cli_detector.factory_command)
