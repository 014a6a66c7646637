"""Everything dies at once and comes back in any order; and a database that neither lives nor dies."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from faults.asking import Asker, watch_the_present
from faults.checker import check
from faults.history import read
from faults.long import figure
from faults.senders import Sender
from faults.site import Site
from faults.witness import Listener, MarkWatch, dump, until_stored

from gateway.postgres_host import leftovers

TIMES = figure(2, 6)
FROZEN_S = figure(8.0, 60.0)


@pytest.mark.timeout(900)
def test_all_killed_at_once_and_started_in_any_order_converges_with_nothing_lost(site: Site) -> None:
    chance = random.Random(7)  # noqa: S311  a test that repeats
    well_s = []
    with (
        Sender(site, "numbered", rate=300, numbered=True, timed=False) as numbered,
        MarkWatch(site, numbered),
    ):
        for _ in range(TIMES):
            time.sleep(chance.uniform(2, 4))
            for kill in (site.broker.kill, site.postgres.kill, site.kill_gateway):
                kill()
            starts = [site.broker.start, site.postgres.start, site.start_gateway]
            chance.shuffle(starts)
            began = time.monotonic()
            for start in starts:
                start()
                time.sleep(chance.uniform(0, 1.5))
            site.until_healthy(60)
            well_s.append(time.monotonic() - began)
        numbered.stop()
        drained_s = until_stored(site, numbered)
        dump(site, numbered)
    verdict = check(read(site.history))
    print(f"{verdict}; well {max(well_s):.1f} s after the first start at most, drained in {drained_s:.1f} s")
    assert verdict.violations == [], site.words("gateway")
    assert verdict.sent == verdict.stored
    assert verdict.marks > 0


@pytest.mark.timeout(600)
def test_a_frozen_database_holds_nobody_up_and_loses_nothing(site: Site) -> None:
    with (
        Listener(site) as listener,
        Sender(site, "untimed", rate=200, machines=8, timed=False) as untimed,
    ):
        time.sleep(2)
        asker = Asker(site, "untimed-0")
        with frozen(site):
            time.sleep(2)  # what was asked before may still have been answered
            with asker.asking():
                worst_s = watch_the_present(listener, untimed, FROZEN_S)
        back_s = site.until_healthy()
        untimed.stop()
        drained_s = until_stored(site, untimed)
        dump(site, untimed)
    verdict = check(read(site.history))
    print(
        f"{verdict}; {asker.judge()}; latest was never more than {worst_s:.1f} s old; "
        f"well again in {back_s:.1f} s, drained {drained_s:.1f} s later"
    )
    assert verdict.violations == []
    assert verdict.sent == verdict.acknowledged == verdict.stored
    assert worst_s < FROZEN_S, "latest stood still while the database was frozen"


@contextmanager
def frozen(site: Site) -> Iterator[None]:
    """Stop the database's processes without ending them: connections stay, and nothing is answered."""
    found = leftovers(site.postgres.postgres.folder / "cluster")
    for pid in found:
        site.postgres.signal_process(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in found:
            site.postgres.signal_process(pid, signal.SIGCONT)
