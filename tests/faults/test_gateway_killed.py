"""The gateway is killed again and again under load: nothing is lost and nothing is stored twice."""

import random
import time

import pytest
from faults.checker import check
from faults.history import read
from faults.long import figure
from faults.senders import Sender
from faults.site import Site
from faults.witness import Listener, MarkWatch, dump, until_stored

KILLS = 10


def kill_again_and_again(site: Site) -> float:
    """Returns the longest time from a start until all was well."""
    chance = random.Random(3)  # noqa: S311  a test that repeats
    recovered_s = [0.0]
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, figure(1.0, 20.0)))
        site.kill_gateway()
        time.sleep(chance.uniform(0.0, 0.5))
        site.start_gateway()
        if chance.random() < 0.5:  # the others are killed while they start
            recovered_s.append(site.until_healthy())
    recovered_s.append(site.until_healthy())
    return max(recovered_s)


@pytest.mark.timeout(1200)
def test_ten_kills_at_random_lose_and_double_no_reading_timed_untimed_or_numbered(site: Site) -> None:
    with (
        Listener(site),
        Sender(site, "timed", rate=200, machines=8) as timed,
        Sender(site, "untimed", rate=150, machines=6, timed=False) as untimed,
        Sender(site, "numbered", rate=150, machines=6, numbered=True) as numbered,
        MarkWatch(site, numbered),
    ):
        well_s = kill_again_and_again(site)
        senders = (timed, untimed, numbered)
        for sender in senders:
            sender.stop()
        drained_s = until_stored(site, *senders)
        dump(site, *senders)
    verdict = check(read(site.history))
    print(f"{verdict}; well {well_s:.1f} s after a start at most, drained in {drained_s:.1f} s")
    assert verdict.violations == [], site.words("gateway")
    assert verdict.sent == verdict.acknowledged == verdict.stored
    assert verdict.marks > 0
