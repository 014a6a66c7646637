"""The broker is killed under load: a numbered source loses nothing, a plain one nothing uncounted."""

import random
import time

import pytest
from faults.checker import check
from faults.history import read
from faults.long import figure
from faults.senders import Sender
from faults.site import Site
from faults.witness import Listener, MarkWatch, dump, until_counted, until_stored

KILLS = figure(3, 10)


def kill_again_and_again(site: Site) -> None:
    chance = random.Random(4)  # noqa: S311  a test that repeats
    for _ in range(KILLS):
        time.sleep(chance.uniform(1.5, figure(3.0, 15.0)))
        site.broker.kill()
        time.sleep(chance.uniform(0.0, 1.0))
        site.broker.start()


@pytest.mark.timeout(1200)
def test_every_loss_of_a_plain_source_is_a_counted_gap(site: Site) -> None:
    with Listener(site), Sender(site, "plain") as plain:
        time.sleep(3)  # a rhythm to miss something of
        kill_again_and_again(site)
        time.sleep(3)
        plain.stop()
        site.until_healthy()
        told_s = until_counted(site, plain, 10)
        dump(site, plain)
    verdict = check(read(site.history))
    print(f"{verdict}; the last gap was counted within {told_s:.1f} s")
    assert verdict.violations == []
    assert verdict.acknowledged == verdict.sent


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("timed", [True, False])
def test_a_numbered_source_loses_and_doubles_nothing(site: Site, *, timed: bool) -> None:
    with (
        Listener(site),
        Sender(site, "numbered", timed=timed, numbered=True) as numbered,
        MarkWatch(site, numbered),
    ):
        kill_again_and_again(site)
        numbered.stop()
        drained_s = until_stored(site, numbered)
        dump(site, numbered)
    verdict = check(read(site.history))
    print(f"{verdict}; drained in {drained_s:.1f} s")
    assert verdict.violations == []
    assert verdict.sent == verdict.stored
    assert verdict.marks > 0
