"""Children of the supervisor, as tiny real processes."""

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from enms import supervisor as module
from enms.supervisor import Child, ChildFailedError, Supervisor, stop_left_overs

NOTE = "import sys,os,time,signal; note=lambda text: open(sys.argv[1],'a').write(f'{text}\\n');"
SLEEP = "time.sleep(60)"


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    made = Supervisor(tmp_path)
    yield made
    await made.stop()


def child(folder: Path, name: str, code: str, *, ready: Callable[[], bool] | None = None) -> Child:
    """A process that runs `code`, in which note(text) writes a line into the file `name`."""
    notes = folder / f"{name}.notes"

    async def is_ready() -> bool:
        return ready() if ready else bool(lines(folder, name))

    return Child(name, [sys.executable, "-S", "-c", NOTE + code, str(notes)], is_ready)


def lines(folder: Path, name: str) -> list[str]:
    path = folder / f"{name}.notes"
    return path.read_text().splitlines() if path.exists() else []


async def until(happened: Callable[[], bool], seconds: float = 8) -> None:
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110  another process tells nobody
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_tier_starts_when_the_one_before_is_ready(supervisor: Supervisor, tmp_path: Path) -> None:
    slow = child(tmp_path, "slow", f"time.sleep(0.3); note(time.monotonic()); {SLEEP}")
    await supervisor.start(slow)
    await supervisor.start(child(tmp_path, "next", f"note(time.monotonic()); {SLEEP}"))
    assert float(lines(tmp_path, "slow")[0]) < float(lines(tmp_path, "next")[0])


async def test_a_child_that_dies_is_started_again_and_waits_longer_each_time(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.start(child(tmp_path, "weak", "note(time.monotonic()); sys.exit(3)"))
    await until(lambda: len(lines(tmp_path, "weak")) == 4)
    began = [float(line) for line in lines(tmp_path, "weak")]
    gaps = [b - a for a, b in itertools.pairwise(began)]
    assert gaps[0] > 0.35
    assert gaps[1] > 0.75
    assert gaps[2] > 1.5
    assert gaps[2] < 4


async def test_a_killed_child_gets_a_new_process(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(child(tmp_path, "victim", f"note(os.getpid()); {SLEEP}"))
    first = supervisor.process_id("victim")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: len(lines(tmp_path, "victim")) == 2)
    await until(lambda: supervisor.process_id("victim") not in {None, first})


async def test_a_dead_child_whose_own_child_holds_its_output_is_started_again(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '6']); note(1); sys.exit(1)"
    await supervisor.start(child(tmp_path, "parent", code))
    await until(lambda: len(lines(tmp_path, "parent")) == 2, seconds=4)


async def test_it_stops_in_the_reverse_order(supervisor: Supervisor, tmp_path: Path) -> None:
    code = f"""
def stop(*_):
    note(time.monotonic()); sys.exit(0)
signal.signal(signal.SIGTERM, stop); note('up'); {SLEEP}
"""
    for name in ("database", "gateway", "detector"):
        await supervisor.start(child(tmp_path, name, code))
    await supervisor.stop()
    ends = [float(lines(tmp_path, name)[1]) for name in ("detector", "gateway", "database")]
    assert ends == sorted(ends)
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_child_that_ignores_sigterm_is_killed_within_its_time(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.4)
    code = f"signal.signal(signal.SIGTERM, signal.SIG_IGN); note(os.getpid()); {SLEEP}"
    await supervisor.start(child(tmp_path, "deaf", code))
    began = time.monotonic()
    await supervisor.stop()
    assert 0.3 < time.monotonic() - began < 2
    assert not alive(int(lines(tmp_path, "deaf")[0]))


async def test_a_child_is_stopped_with_the_signal_it_wants(supervisor: Supervisor, tmp_path: Path) -> None:
    code = f"""
signal.signal(signal.SIGINT, lambda *_: (note('int'), sys.exit(0)))
signal.signal(signal.SIGTERM, lambda *_: (note('term'), sys.exit(0)))
note('up'); {SLEEP}
"""
    made = child(tmp_path, "database", code)
    await supervisor.start(Child(made.name, made.command, made.ready, stop_signal=signal.SIGINT))
    await supervisor.stop()
    assert lines(tmp_path, "database") == ["up", "int"]


async def test_nothing_is_started_again_while_stopping(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(child(tmp_path, "weak", "note(1); sys.exit(1)"))
    await supervisor.stop()
    before = len(lines(tmp_path, "weak"))
    await asyncio.sleep(1)
    assert len(lines(tmp_path, "weak")) == before
    assert supervisor.process_id("weak") is None


async def test_output_goes_to_the_log_whatever_it_is(supervisor: Supervisor, tmp_path: Path) -> None:
    code = (
        "sys.stdout.buffer.write(b'\\xff\\xfe bytes\\n' + b'x' * 300_000 + b'\\nlast words\\n');"
        f"sys.stdout.flush(); print('to stderr', file=sys.stderr, flush=True); note(1); {SLEEP}"
    )
    await supervisor.start(child(tmp_path, "loud", code))
    log = tmp_path / "logs" / "loud.log"
    await until(lambda: "to stderr" in log.read_text())
    assert "bytes\n" in log.read_text()
    assert "last words\n" in log.read_text()


async def test_a_child_that_ends_before_it_is_ready_stops_the_start_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    code = "print('the disk is full', flush=True); sys.exit(7)"
    with pytest.raises(ChildFailedError, match=r"weak ended with code 7(.|\n)*the disk is full"):
        await supervisor.start(child(tmp_path, "weak", code, ready=lambda: False))


async def test_a_program_that_is_not_there_stops_the_start(supervisor: Supervisor, tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with asyncio.timeout(5):
        with pytest.raises(ChildFailedError, match="ghost cannot be started"):
            await supervisor.start(Child("ghost", [str(tmp_path / "no-such-program")], never))


async def test_what_an_earlier_run_left_behind_is_stopped_and_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    left, other = [await asyncio.create_subprocess_exec("sleep", "60") for _ in range(2)]
    (tmp_path / "run" / "left.pid").write_text(f"{left.pid} {module._born(left.pid)}")
    (tmp_path / "run" / "other.pid").write_text(f"{other.pid} 12345")
    (tmp_path / "run" / "broken.pid").write_text("")
    waiting = asyncio.create_task(left.wait())
    await asyncio.to_thread(stop_left_overs, tmp_path)
    assert await asyncio.wait_for(waiting, 5) == -signal.SIGINT
    assert other.returncode is None
    assert list((tmp_path / "run").iterdir()) == []
    other.kill()
    await other.wait()


async def test_a_child_ends_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, pathlib, sys
sys.path[:0] = {sys.path!r}
from enms.supervisor import Child, Supervisor
async def main():
    async def ready(): return True
    supervisor = Supervisor(pathlib.Path({str(tmp_path)!r}))
    await supervisor.start(Child('orphan', ['sleep', '60'], ready))
    await asyncio.sleep(60)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    pid_file = tmp_path / "run" / "orphan.pid"
    await until(lambda: pid_file.exists() and bool(pid_file.read_text()))
    orphan, born = pid_file.read_text().split()
    process.kill()
    await process.wait()
    await until(lambda: module._born(int(orphan)) != born)
