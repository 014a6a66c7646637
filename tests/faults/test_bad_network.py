"""Connections that are slow, cut, or dead without a word, between the broker and either side of it."""

import time

import pytest
from faults.checker import check
from faults.history import read
from faults.long import figure
from faults.proxy import Proxy
from faults.senders import Sender
from faults.site import Site
from faults.witness import Listener, MarkWatch, count, dump, until_stored
from fixtures.product import until

OUTAGE_S = figure(5.0, 1800.0)
CUTS = figure(4, 40)


def test_what_was_committed_and_whose_acknowledgement_never_arrived_is_not_stored_again(site: Site) -> None:
    assert site.stop_gateway() == 0
    with Proxy(site.broker.port) as proxy:
        site.gateway_mqtt_port = proxy.port
        site.start_gateway()
        site.until_healthy()
        with Sender(site, "untimed", rate=200, machines=5, timed=False) as untimed:
            until(lambda: count(site, untimed) > 100)
            proxy.swallow_up = True
            marked = count(site, untimed)
            until(lambda: count(site, untimed) > marked + 100)
            site.kill_gateway()
            proxy.cut()
            proxy.swallow_up = False
            site.start_gateway()
            site.until_healthy()
            untimed.stop()
        until_stored(site, untimed)
        dump(site, untimed)
        site.stop_gateway()
    verdict = check(read(site.history))
    print(f"{verdict}; {proxy.swallowed} bytes of acknowledgements never arrived")
    assert verdict.violations == []
    assert verdict.sent == verdict.stored


def test_a_gateway_whose_line_is_cut_again_and_again_stores_untimed_messages_once(site: Site) -> None:
    assert site.stop_gateway() == 0
    with Proxy(site.broker.port) as proxy:
        site.gateway_mqtt_port = proxy.port
        site.start_gateway()
        site.until_healthy()
        with Sender(site, "untimed", rate=300, machines=5, timed=False) as untimed:
            for _ in range(CUTS):
                time.sleep(1.0)
                proxy.swallow_up = True  # what is acknowledged now comes again on the next connection
                time.sleep(0.3)
                proxy.cut()
                proxy.swallow_up = False
            site.until_healthy()
            untimed.stop()
        until_stored(site, untimed)
        dump(site, untimed)
        site.stop_gateway()
    verdict = check(read(site.history))
    print(f"{verdict}; {proxy.swallowed} bytes of acknowledgements never arrived")
    assert proxy.swallowed > 0
    assert verdict.violations == []
    assert verdict.sent == verdict.stored


@pytest.mark.timeout(2400)
def test_a_numbered_source_on_a_bad_line_loses_and_doubles_nothing(site: Site) -> None:
    with (
        Listener(site),
        Proxy(site.broker.port) as line,
        Sender(site, "far", rate=100, numbered=True, timed=False, port=line.port) as far,
        MarkWatch(site, far),
    ):
        until(lambda: far.mark > 0)
        line.delay_s = 0.2
        for _ in range(CUTS):
            time.sleep(1.0)
            line.cut()
        line.swallow_up = line.swallow_down = True  # half-open: the keepalive has to find out
        time.sleep(3.0)
        line.refusing = True
        line.cut()
        time.sleep(OUTAGE_S)
        line.refusing = line.swallow_up = line.swallow_down = False
        line.delay_s = 0.0
        began = time.monotonic()
        far.stop(figure(60, 600))
        until_stored(site, far)
        drained_s = time.monotonic() - began
        dump(site, far)
    verdict = check(read(site.history))
    print(f"{verdict}; all there {drained_s:.1f} s after the line was good again")
    assert verdict.violations == []
    assert verdict.sent == verdict.stored
