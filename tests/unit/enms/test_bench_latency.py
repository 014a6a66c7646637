"""Jumps at known times, the events they lead to, and a WebSocket by hand."""

import base64
import hashlib
from datetime import UTC, datetime

import numpy as np
import pytest

from broker.messages import Anomaly, Deviation, ModelRef
from broker.telemetry import read
from broker.wire import Publish, Splitter
from enms.bench import packets, websocket
from enms.bench.latency_events import Received, match, percentiles
from enms.bench.latency_signal import CYCLE_TICKS, JUMP_TICKS, Jumping
from enms.bench.models import rows_before

LOAD = Jumping(machines=30, metrics=5, base_ms=1_772_625_599_000, spacing_ms=1000)
SECONDS = 2 * CYCLE_TICKS


def opening(machine: int, tick: int, *, late_s: float = 0.5, phase: str = "opened") -> Received:
    """An episode that begins at a tick and is told three rows later, `late_s` after that row."""
    started_s, told_s = (LOAD.time_ms((tick + more) * LOAD.machines + machine) / 1000 for more in (0, 2))
    event = Anomaly(
        anomaly_id=f"{machine}-{tick}",
        phase=phase,  # type: ignore[arg-type]
        machine=LOAD.name(machine),
        machine_name="",
        metric="pressure_bar",
        value=9.0,
        expected=1.0,
        low=0.0,
        high=2.0,
        deviation=Deviation(absolute=8.0, sigma=8.0, pct=None),
        score=4.0,
        threshold=1.0,
        severity="critical",
        anomaly_type="sudden_change",
        operating_state="",
        contributors=(),
        started_at=datetime.fromtimestamp(started_s, UTC),
        duration_s=2.0,
        model=ModelRef(name="normal", version="1"),
        ts=datetime.fromtimestamp(told_s, UTC),
        published_at=datetime.fromtimestamp(told_s + 0.2, UTC),
    )
    return Received(event, told_s + late_s)


def every_jump() -> list[tuple[int, int]]:
    return [(machine, tick) for machine in range(LOAD.machines) for tick in LOAD.begun(machine, SECONDS)]


def test_a_jump_is_in_the_messages_when_the_load_says_so() -> None:
    machine, tick = every_jump()[3]
    sheet = packets.Sheet(LOAD, "enms")
    sent = []
    for at in range(tick - 1, tick + JUMP_TICKS + 1):
        (message,) = Splitter().feed(sheet.packets(at * LOAD.machines + machine, 1).tobytes())
        assert isinstance(message, Publish)
        (row,) = read(f"telemetry/{LOAD.name(machine)}", message.payload, datetime.now(UTC)).rows
        sent.append(dict(zip(row.metrics, row.values, strict=True)))
    pressure = np.array([row["pressure_bar"] for row in sent])
    assert (np.diff(pressure) > 250).tolist() == [True] + [False] * JUMP_TICKS
    assert (np.diff(pressure) < -250).tolist() == [False] * JUMP_TICKS + [True]
    assert np.ptp([row["power_kw"] for row in sent]) < 4


def test_the_past_that_models_learn_from_has_no_jump_in_it() -> None:
    past = rows_before(LOAD, 4, 400)
    assert past.metrics == tuple(sorted(LOAD.names))
    assert np.ptp(past.values, axis=0).max() < 4
    assert past.ts_s[-1] == pytest.approx(LOAD.time_ms(4) / 1000 - 1)


def test_every_jump_has_the_first_episode_that_began_in_it() -> None:
    jumps = every_jump()
    assert len({machine for machine, _ in jumps}) == LOAD.machines // 2
    heard = [opening(machine, tick) for machine, tick in jumps]
    again, closed = opening(*jumps[0], late_s=3.0), opening(*jumps[1], phase="closed")
    found = match(LOAD, SECONDS, [again, closed, *heard])
    assert (len(found.found), found.missed, found.unasked) == (len(jumps), 0, 1)
    assert [one.whole_ms for one in found.found] == pytest.approx([500.0] * len(jumps), abs=0.01)
    assert [one.way_ms for one in found.found] == pytest.approx([300.0] * len(jumps), abs=0.01)
    assert [one.published_ms for one in found.found] == pytest.approx([200.0] * len(jumps), abs=0.01)


def test_a_jump_without_an_episode_is_missed_and_an_episode_without_a_jump_was_not_asked_for() -> None:
    jumps = every_jump()
    heard = [opening(machine, tick) for machine, tick in jumps[1:]]
    calm_machine = opening(1, jumps[0][1])
    found = match(LOAD, SECONDS, [*heard, calm_machine])
    assert (len(found.found), found.missed, found.unasked) == (len(jumps) - 1, 1, 1)


def test_a_jump_that_was_cut_off_may_be_told_and_need_not_be() -> None:
    machine, tick = every_jump()[-1]
    cut = tick + JUMP_TICKS - 2
    before = [(who, when) for who, when in every_jump() if when + JUMP_TICKS <= cut]
    heard = [opening(who, when) for who, when in before]
    assert match(LOAD, cut, heard).missed == 0
    assert match(LOAD, cut, [*heard, opening(machine, tick)]).unasked == 0


def test_percentiles_of_nothing_are_no_good_figures() -> None:
    assert percentiles([]) == (float("inf"),) * 3
    assert percentiles(list(range(101))) == (50.0, 95.0, 99.0)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_is_what_it_was_however_it_is_cut(size: int) -> None:
    payload = bytes(at % 251 for at in range(size))
    masked = websocket.frame(websocket.BINARY, payload)
    head = len(masked) - size - 4
    mask, body = masked[head : head + 4], masked[head + 4 :]
    unmasked = bytes(one ^ mask[at % 4] for at, one in enumerate(body))
    assert unmasked == payload
    plain = bytes((masked[0], masked[1] & 0x7F)) + masked[2:head] + payload
    frames = websocket.Frames()
    found = [one for at in range(len(plain)) for one in frames.feed(plain[at : at + 1])] if size < 200 else []
    found += websocket.Frames().feed(plain * 2)
    assert set(found) == {(websocket.BINARY, payload)}


def test_a_handshake_ends_where_the_first_frame_begins() -> None:
    asked = websocket.Handshake("127.0.0.1:9001")
    key = next(x for x in asked.request.decode().split("\r\n") if x.startswith("Sec-WebSocket-Key")).split()[
        1
    ]
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()  # noqa: S324
    accept = base64.b64encode(digest)
    answer = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\nrest"
    assert asked.feed(answer[:30]) is None
    assert asked.feed(answer[30:]) == b"rest"


def test_who_is_no_websocket_server_is_told() -> None:
    with pytest.raises(websocket.WebSocketError, match="404"):
        websocket.Handshake("127.0.0.1:8000").feed(b"HTTP/1.1 404 Not Found\r\n\r\n")
