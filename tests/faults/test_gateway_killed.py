"""The gateway is killed again and again under load: nothing is lost and nothing is stored twice."""

import random
import time

import pytest
from faults.checker import check
from faults.history import read
from faults.long import figure
from faults.senders import Sender
from faults.site import Site
from faults.witness import Listener, dump, until_stored

KILLS = 10


@pytest.mark.timeout(1200)
def test_ten_kills_at_random_lose_and_double_no_reading_timed_or_not(site: Site) -> None:
    chance = random.Random(3)  # noqa: S311  a test that repeats
    recovered_s = []
    with (
        Listener(site),
        Sender(site, "timed", rate=300, machines=12) as timed,
        Sender(site, "untimed", rate=200, machines=8, timed=False) as untimed,
    ):
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.1, figure(1.0, 20.0)))
            site.kill_gateway()
            time.sleep(chance.uniform(0.0, 0.5))
            site.start_gateway()
            if chance.random() < 0.7:  # the others are killed while they start
                recovered_s.append(site.until_healthy())
        site.until_healthy()
        timed.stop()
        untimed.stop()
        drained_s = until_stored(site, timed, untimed)
        dump(site, timed, untimed)
    verdict = check(read(site.history))
    print(f"{verdict}; healthy {max(recovered_s):.1f} s after a start at most, drained in {drained_s:.1f} s")
    assert verdict.violations == []
    assert verdict.sent == verdict.acknowledged == verdict.stored
