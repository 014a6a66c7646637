"""What the load generator sends is what its checker expects, byte by byte."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from broker import wire
from broker.telemetry import read
from enms.bench import packets
from enms.bench.check import judge
from enms.bench.truth import METRICS, MODULUS, Load
from gateway.store.bulk import HeldSeries

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
FLAT = Load(machines=7, metrics=5, base_ms=1_772_625_599_000, spacing_ms=10)
PACED = Load(machines=250, metrics=12, base_ms=1_772_625_599_000, spacing_ms=1000)


def messages(load: Load, first: int, count: int) -> list[wire.Publish]:
    data = packets.Sheet(load, "acme/enms").packets(first, count).tobytes()
    return [one for one in wire.Splitter().feed(data) if isinstance(one, wire.Publish)]


@pytest.mark.parametrize("load", [FLAT, PACED])
@pytest.mark.parametrize("first", [0, 64_990])
def test_a_message_says_what_the_truth_says(load: Load, first: int) -> None:
    sent = messages(load, first, 300)
    assert len(sent) == 300
    for number, message in enumerate(sent, first):
        machine, tick = number % load.machines, number // load.machines
        root, _, topic = message.topic.decode().partition("/telemetry/")
        assert root == "acme/enms"
        assert (message.qos, message.mid) == (1, number % packets.MIDS + 1)
        parsed = read(f"telemetry/{topic}", message.payload, NOW)
        (row,) = parsed.rows
        assert not parsed.refusals
        assert (row.machine, row.metrics) == (load.name(machine), METRICS[: load.metrics])
        assert row.ts.timestamp() * 1000 == load.time_ms(number)
        wanted = load.hundredths(np.array([machine]), np.array([tick]))[0] / 100
        assert row.values == tuple(wanted.tolist())


@pytest.mark.parametrize("load", [FLAT, PACED])
def test_no_machine_has_two_messages_of_one_time(load: Load) -> None:
    found = {(number % load.machines, load.time_ms(number)) for number in range(5 * load.machines)}
    assert len(found) == 5 * load.machines


def test_machines_that_send_once_a_second_are_spread_over_it() -> None:
    offsets = PACED.offsets_ms(np.arange(PACED.machines))
    assert (offsets.min(), offsets.max()) == (0, 990)
    assert np.bincount(offsets // 100, minlength=10).tolist() == [25] * 10


@pytest.mark.parametrize(
    "wrong", [{"machines": 0}, {"machines": 100_000}, {"metrics": 13}, {"metrics": 0}, {"base_ms": 1}]
)
def test_a_load_there_is_no_room_for_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(FLAT, **wrong)


def held(load: Load, sent: int) -> dict[tuple[int, int], list[int]]:
    """All readings in hundredths with their weights, one by one, by machine and metric."""
    found: dict[tuple[int, int], list[int]] = {}
    for number in range(sent):
        machine, tick = number % load.machines, number // load.machines
        values = load.hundredths(np.array([machine]), np.array([tick]))[0].tolist()
        for metric, value in enumerate(values):
            found.setdefault((machine, metric), []).append(value * (1 + tick % MODULUS))
    return found


def series(load: Load, found: dict[tuple[int, int], list[int]]) -> list[HeldSeries]:
    return [
        HeldSeries(load.name(machine), load.names[metric], len(values), sum(values))
        for (machine, metric), values in found.items()
    ]


def test_what_was_stored_whole_is_found_perfect() -> None:
    verdict = judge(FLAT, 100, series(FLAT, held(FLAT, 100)))
    assert (verdict.perfect, verdict.readings) == (True, 500)


def test_the_total_is_the_sum_of_what_is_sent() -> None:
    for sent in (0, 1, 100):
        parsed = [json.loads(one.payload) for one in messages(FLAT, 0, sent)]
        assert FLAT.total(sent) == sum(round(one[name] * 100) for one in parsed for name in FLAT.names)


def test_a_reading_that_is_missing_is_lost() -> None:
    found = held(FLAT, 100)
    found[3, 1].pop()
    verdict = judge(FLAT, 100, series(FLAT, found))
    assert (verdict.lost, verdict.twice, verdict.wrong_series) == (1, 0, 1)


def test_a_reading_too_many_is_there_twice() -> None:
    found = held(FLAT, 100)
    found[3, 1].append(found[3, 1][0])
    verdict = judge(FLAT, 100, series(FLAT, found))
    assert (verdict.lost, verdict.twice, verdict.wrong_series) == (0, 1, 1)


def test_one_lost_and_another_doubled_do_not_cancel_out() -> None:
    found = held(FLAT, 100)
    found[3, 1][-1] = found[3, 1][0]
    assert judge(FLAT, 100, series(FLAT, found)).wrong_series == 1
    found[4, 1].append(found[3, 1].pop())
    verdict = judge(FLAT, 100, series(FLAT, found))
    assert (verdict.lost, verdict.twice) == (1, 1)


def test_a_series_nobody_sent_is_seen() -> None:
    found = [*series(FLAT, held(FLAT, 100)), HeldSeries("press-7", "power_kw", 3, 1)]
    assert (judge(FLAT, 100, found).twice, judge(FLAT, 100, found).perfect) == (3, False)


PLAIN = b"".join(bytes((0x40, 2, n >> 8, n & 255)) for n in (1, 2, 300, 65_000))
TOLD = b"".join(bytes((0x40, 3, n >> 8, n & 255, 0x10)) for n in (1, 2, 300, 65_000))


@pytest.mark.parametrize("stream", [PLAIN, TOLD, PLAIN + TOLD])
@pytest.mark.parametrize("cut", range(17))
def test_acknowledgements_are_read_wherever_the_stream_is_cut(stream: bytes, cut: int) -> None:
    found: list[int] = []
    rest = b""
    for piece in (stream[:cut], stream[cut:], b"", b""):
        mids, rest = packets.acknowledged(rest + piece)
        found += mids.tolist()
    assert rest == b""
    assert found == [1, 2, 300, 65_000] * (len(stream) // len(PLAIN))


@pytest.mark.parametrize("answer", [b"\x40\x03\x00\x01\x87", b"\xe0\x01\x93\x00", b"\xe0\x02\x93\x00"])
def test_a_refusal_is_told(answer: bytes) -> None:
    mids, rest = packets.acknowledged(PLAIN[:4] + answer)
    assert (mids.tolist(), rest) == ([1], answer)
    with pytest.raises(packets.BrokerRefusedError):
        packets.acknowledged(rest)


@pytest.mark.parametrize(
    ("connack", "most"),
    [
        (b"\x20\x03\x00\x00\x00", 65_535),
        (b"\x20\x06\x00\x00\x03\x21\x07\xd0", 2000),
        (b"\x20\x0b\x00\x00\x08\x22\x00\x0a\x21\x00\x14\x25\x01", 20),
    ],
)
def test_the_window_is_the_brokers_receive_maximum(connack: bytes, most: int) -> None:
    assert packets.receive_maximum(connack) == most


def test_a_refused_connection_is_told() -> None:
    with pytest.raises(packets.BrokerRefusedError, match="refused"):
        packets.receive_maximum(b"\x20\x03\x00\x87\x00")
