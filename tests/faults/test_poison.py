"""Fuzzed topics and payloads: no crash, no stall, and each is stored or refused and recorded."""

import time

import pytest
from faults.checker import check
from faults.history import History, read
from faults.long import figure
from faults.poison import Poisoner, key_of, number_in
from faults.senders import Sender
from faults.site import Site
from faults.stored_rows import rejected
from faults.witness import Listener, dump, readings, until_stored
from fixtures.product import until

MESSAGES = figure(10_000, 100_000)
RATE = 1000


@pytest.mark.timeout(900)
def test_fuzzed_messages_stop_and_slow_nothing_and_none_of_them_vanishes(site: Site) -> None:
    pid = site.gateway_pid()
    lags_s = []
    with (
        Listener(site) as listener,
        Sender(site, "good", rate=2, machines=1) as good,
        Poisoner(site, MESSAGES, RATE) as fuzz,
    ):
        until(lambda: readings(site, "good-0"))
        while not fuzz.done:
            newest = max(ts_ms for ts_ms, _ in readings(site, "good-0"))
            lags_s.append(time.time() - newest / 1000)
            time.sleep(0.2)
        fuzz.stop()
        good.stop()
        until_stored(site, good)
        until(lambda: site.metric("enms_messages_total") >= fuzz.sent + good.sent, 60)
        refused = write_down_refusals(site)
        dump(site, good, fuzz)
    verdict = check(read(site.history))
    print(f"{verdict}; {refused} refusals; the good source was at most {max(lags_s):.1f} s behind")
    assert verdict.violations == []
    assert verdict.acknowledged == verdict.sent == MESSAGES + good.sent
    assert site.gateway_pid() == pid
    assert listener.counts["rejected"] > 0


def write_down_refusals(site: Site) -> int:
    """Note each refusal: of a mutated message by its own number, of one refused whole by its key."""
    history = History(site.history, "refusals")
    rows = rejected(site.database_url)
    for topic, reason, head, size in rows:
        number = number_in(head) if topic.startswith("telemetry/fuzz-") else None
        if number is None:
            history.note("rejected", key=key_of_row(topic, size), reason=reason)
        else:
            machine = topic.removeprefix("telemetry/")
            history.note("rejected", key=None, machine=machine, value=number, reason=reason)
    history.close()
    return len(rows)


def key_of_row(escaped_topic: str, size: int) -> str:
    return key_of(escaped_topic.encode("ascii").decode("unicode_escape"), size)
