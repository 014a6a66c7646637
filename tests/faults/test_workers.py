"""One of three workers is killed and stays away: its machines wait in the broker, also those that are new."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.checker import check
from faults.history import read
from faults.long import figure
from faults.senders import Sender
from faults.site import Site, running_site
from faults.witness import Listener, dump, until_stored
from fixtures.postgres import PrivatePostgres
from fixtures.product import until

AWAY_S = figure(10.0, 60.0)


@pytest.fixture
def three(folder: Path, postgres: PrivatePostgres) -> Iterator[Site]:
    with running_site(folder, postgres, workers=3) as site:
        yield site


@pytest.mark.timeout(600)
def test_a_worker_killed_and_away_loses_and_doubles_nothing_not_even_of_a_new_machine(three: Site) -> None:
    with (
        Listener(three) as listener,
        Sender(three, "timed", rate=300, machines=12) as timed,
        Sender(three, "untimed", rate=200, machines=9, timed=False) as untimed,
    ):
        time.sleep(3)
        three.kill_gateway("gateway-1")
        with Sender(three, "newcomer", rate=20, machines=20) as newcomer:
            time.sleep(AWAY_S)
            newcomer.stop()
        three.start_gateway("gateway-1")
        began = time.monotonic()
        timed.stop()
        untimed.stop()
        until_stored(three, timed, untimed, newcomer)
        drained_s = time.monotonic() - began
        everyone = {*timed.machines, *untimed.machines, *newcomer.machines}
        until(lambda: everyone <= told_of(listener), 10)
        until(lambda: everyone <= {one["machine"] for one in three.get("machines")["machines"]}, 10)
        dump(three, timed, untimed, newcomer)
    verdict = check(read(three.history))
    print(f"{verdict}; drained {drained_s:.1f} s after the worker's start")
    assert verdict.violations == []
    assert verdict.sent == verdict.acknowledged == verdict.stored


def told_of(listener: Listener) -> set[str]:
    """Which machines have a retained `latest/…`."""
    return {topic.removeprefix("latest/") for topic in listener.last if topic.startswith("latest/")}
