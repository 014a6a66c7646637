"""The database is killed, and stays away: nothing is lost, nobody hangs, and the present goes on."""

import time

import pytest
from faults.asking import Asker, watch_the_present
from faults.checker import check
from faults.history import read
from faults.long import figure
from faults.senders import Sender
from faults.site import Site
from faults.witness import Listener, dump, until_stored

KILLS = figure(2, 5)
AWAY_S = figure(12.0, 300.0)


@pytest.mark.timeout(1500)
def test_a_database_killed_and_away_loses_nothing_and_holds_nobody_up_even_if_the_gateway_dies_too(
    site: Site,
) -> None:
    with (
        Listener(site) as listener,
        Sender(site, "timed", rate=300, machines=12) as timed,
        Sender(site, "untimed", rate=200, machines=8, timed=False) as untimed,
    ):
        for _ in range(KILLS):
            time.sleep(figure(1.5, 10.0))
            site.postgres.kill()
            site.postgres.start()
        site.until_healthy()
        site.postgres.kill()
        time.sleep(0.5)
        asker = Asker(site, timed.machines[0])
        with asker.asking():
            worst_s = watch_the_present(listener, timed, AWAY_S)
        site.kill_gateway()  # what it had read and could not store is the broker's still
        site.start_gateway()
        time.sleep(1)
        site.postgres.start()
        back_s = site.until_healthy()
        timed.stop()
        untimed.stop()
        drained_s = until_stored(site, timed, untimed, seconds=120)
        dump(site, timed, untimed)
    verdict = check(read(site.history))
    print(
        f"{verdict}; {asker.judge()}; latest was never more than {worst_s:.1f} s old; "
        f"well again in {back_s:.1f} s, drained {drained_s:.1f} s later"
    )
    assert verdict.violations == []
    assert verdict.sent == verdict.acknowledged == verdict.stored
    assert worst_s < AWAY_S / 2, "latest stood still while the database was away"


@pytest.mark.timeout(900)
def test_a_gateway_that_starts_without_its_database_shows_the_present_and_loses_nothing(site: Site) -> None:
    with Listener(site) as listener:
        site.user("timed", "edge")
        assert site.stop_gateway() == 0
        site.postgres.kill()
        site.start_gateway()
        with Sender(site, "timed", rate=200, machines=5) as timed:
            deadline = time.monotonic() + 20
            while (answer := site.answer("machines/timed-0/history")) is None:
                assert time.monotonic() < deadline, site.words("gateway")
                time.sleep(0.05)
            asker = Asker(site, "timed-0")
            with asker.asking():
                worst_s = watch_the_present(listener, timed, figure(6.0, 60.0))
            site.postgres.start()
            back_s = site.until_healthy()
            timed.stop()
        drained_s = until_stored(site, timed)
        dump(site, timed)
    assert answer.status_code == 503
    verdict = check(read(site.history))
    print(
        f"{verdict}; {asker.judge()}; latest was never more than {worst_s:.1f} s old; "
        f"well in {back_s:.1f} s, drained {drained_s:.1f} s later"
    )
    assert verdict.violations == []
    assert verdict.sent == verdict.acknowledged == verdict.stored
    assert worst_s < 5, "latest stood still while the database was away"
