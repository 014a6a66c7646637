"""Sending retained state, against a broker whose every answer the test decides."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from broker import wire
from broker.bus import BusAddress
from broker.channels import ALARM, ANNOUNCE, EXPECTED, LATEST, Channel
from broker.messages import Announce, Expected, Latest, LatestValue, decode
from broker.outlet import Outlet
from broker.topics import AlarmTopic, AnnounceTopic, ExpectedTopic, LatestTopic
from broker.wire_parts import length

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONNECT, PUBLISH, DISCONNECT = 1, 3, 14


class HandBroker:
    """Accepts connections and notes what comes; answers a PUBLISH by itself unless `reason` is None."""

    def __init__(self, properties: bytes = b"", reason: int | None = 0) -> None:
        self.properties = properties
        self.reason = reason
        self.connections = 0
        self.got: list[wire.Publish] = []
        self.goodbyes = 0
        self.open: set[int] = set()
        self.most_open = 0
        self.reading = asyncio.Event()
        self.reading.set()
        self._busy = 0
        self._writer: asyncio.StreamWriter

    @asynccontextmanager
    async def outlet(self, **options: int) -> AsyncIterator[Outlet]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        address = BusAddress("127.0.0.1", server.sockets[0].getsockname()[1])
        async with server:
            async with Outlet(address, "gateway-state", "secret", **options) as outlet:
                await asyncio.wait_for(outlet.wait_connected(), 10)
                yield outlet
            await self.until(lambda: not self._busy)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._busy += 1
        self._writer = writer
        try:
            while True:
                await self.reading.wait()
                head = (await reader.readexactly(1))[0]
                size = shift = 0
                while True:
                    byte = (await reader.readexactly(1))[0]
                    size += (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                body = await reader.readexactly(size)
                self._take(head, body)
                if head >> 4 == DISCONNECT:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._busy -= 1

    def _take(self, head: int, body: bytes) -> None:
        if head >> 4 == CONNECT:
            self.connections += 1
            self.open.clear()
            said = b"\0\0" + length(len(self.properties)) + self.properties
            self._writer.write(b"\x20" + length(len(said)) + said)
        elif head >> 4 == PUBLISH:
            (one,) = wire.Splitter().feed(bytes((head,)) + length(len(body)) + body)
            assert isinstance(one, wire.Publish)
            assert one.retained
            self.got.append(one)
            if one.qos:
                assert one.mid not in self.open, "a packet id was used again before it was answered"
                self.open.add(one.mid)
                self.most_open = max(self.most_open, len(self.open))
                if self.reason is not None:
                    self.answer(one.mid)
        elif head >> 4 == DISCONNECT:
            self.goodbyes += 1

    def answer(self, mid: int) -> None:
        self.open.remove(mid)
        reason = bytes((self.reason,)) if self.reason else b""
        self._writer.write(b"\x40" + bytes((2 + len(reason),)) + mid.to_bytes(2, "big") + reason)

    def cut(self) -> None:
        self._writer.transport.abort()

    async def until(self, true: Callable[[], object], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "what was waited for did not happen"
            await asyncio.sleep(0.005)

    def values(self) -> list[tuple[bytes, float | str]]:
        return [(one.topic, decode(Latest, one.payload).values["power_kw"].value) for one in self.got]


def keep(outlet: Outlet, machine: str, value: float | str) -> None:
    latest = Latest(machine=machine, values={"power_kw": LatestValue(ts=NOW, value=value)})
    outlet.keep(LATEST, LatestTopic(machine), latest)


async def test_of_a_topic_kept_many_times_at_once_only_the_newest_is_sent() -> None:
    broker = HandBroker()
    async with broker.outlet() as outlet:
        for value in range(100):
            keep(outlet, "press-7", value)
            keep(outlet, "press-8", -value)
        assert outlet.pending == 2
        await broker.until(lambda: not outlet.pending)
    assert broker.values() == [(b"enms/latest/press-7", 99), (b"enms/latest/press-8", -99)]
    assert broker.goodbyes == 1


async def test_what_was_kept_before_there_was_a_connection_is_sent_then() -> None:
    broker = HandBroker()
    outlet = Outlet(BusAddress("127.0.0.1", 1), "gateway-state", "secret")
    keep(outlet, "press-7", 1)
    assert (outlet.pending, outlet.connected) == (1, False)
    async with broker.outlet() as outlet:
        broker.cut()
        await broker.until(lambda: not outlet.connected)
        keep(outlet, "press-7", 2)
        await broker.until(lambda: not outlet.pending)
    assert broker.values() == [(b"enms/latest/press-7", 2)]


async def test_no_more_is_under_way_than_the_broker_takes_and_ids_are_used_again_only_after_the_answer() -> (
    None
):
    broker = HandBroker(properties=b"\x21\x00\x14", reason=None)
    async with broker.outlet() as outlet:
        for number in range(70):
            keep(outlet, f"press-{number}", number)
        await broker.until(lambda: len(broker.got) == 20)
        keep(outlet, "press-0", 1000)  # while it is under way
        for count in range(21, 72):
            broker.answer(min(broker.open))
            await broker.until(lambda count=count: len(broker.got) == count)  # type: ignore[misc]
        assert outlet.pending == 20
        for mid in sorted(broker.open):
            broker.answer(mid)
        await broker.until(lambda: not outlet.pending)
    assert broker.most_open == 20
    assert dict(broker.values()) == {
        f"enms/latest/press-{number}".encode(): number or 1000 for number in range(70)
    }


async def test_our_own_window_holds_where_the_broker_would_take_more() -> None:
    broker = HandBroker(reason=None)
    async with broker.outlet(window=3) as outlet:
        for number in range(10):
            keep(outlet, f"press-{number}", number)
        await broker.until(lambda: len(broker.got) == 3)
        broker.reason = 0
        while broker.open:
            for mid in sorted(broker.open):
                broker.answer(mid)
            await broker.until(lambda: broker.open or not outlet.pending)
    assert len(broker.got) == 10
    assert broker.most_open == 3


async def test_after_a_reconnection_everything_is_sent_again_answered_or_not() -> None:
    broker = HandBroker()
    async with broker.outlet() as outlet:
        keep(outlet, "press-7", 7)
        await broker.until(lambda: not outlet.pending)
        broker.reason = None
        keep(outlet, "press-8", 8)
        await broker.until(lambda: len(broker.got) == 2)
        assert outlet.pending == 1
        broker.reason = 0
        broker.got.clear()
        broker.cut()
        await broker.until(lambda: broker.connections == 2 and not outlet.pending)
        outlet.keep(LATEST, LatestTopic("press-8"), None)
        await broker.until(lambda: not outlet.pending)
        broker.cut()
        await broker.until(lambda: broker.connections == 3 and not outlet.pending)
    assert [(one.topic[-1:], bool(one.payload)) for one in broker.got] == [
        (b"7", True), (b"8", True), (b"8", False), (b"7", True), (b"8", False),
    ]  # fmt: skip


async def test_a_refusal_is_said_once_a_channel_and_not_sent_again_by_itself() -> None:
    broker = HandBroker(reason=0x87)
    with capture_logs() as logs:
        async with broker.outlet() as outlet:
            for machine in ("press-7", "press-8"):
                keep(outlet, machine, 1)
            await broker.until(lambda: not outlet.pending)
            outlet.keep(ALARM, AlarmTopic("press-7", "hot"), None)
            await broker.until(lambda: not outlet.pending)
            broker.reason = 0
            keep(outlet, "press-8", 2)
            await broker.until(lambda: not outlet.pending)
    refused = [one for one in logs if one["event"] == "state refused"]
    assert [(one["topic"], one["why"]) for one in refused] == [
        ("latest/press-7", "not authorized"),
        ("alarm/press-7/hot", "not authorized"),
    ]
    assert len(broker.got) == 4


async def test_what_the_broker_would_cut_the_connection_for_is_not_sent() -> None:
    broker = HandBroker(properties=b"\x27\x00\x00\x01\x00")
    with capture_logs() as logs:
        async with broker.outlet() as outlet:
            keep(outlet, "press-7", "x" * 200)
            keep(outlet, "press-8", "x")
            await broker.until(lambda: not outlet.pending)
    assert broker.values() == [(b"enms/latest/press-8", "x")]
    assert "the broker takes 256" in next(one["why"] for one in logs if one["event"] == "state refused")


async def test_a_message_that_cannot_be_encoded_holds_up_no_other() -> None:
    broker = HandBroker()
    with capture_logs() as logs:
        async with broker.outlet() as outlet:
            keep(outlet, "press-7", "\ud800")
            keep(outlet, "press-8", "x")
            await broker.until(lambda: not outlet.pending)
            broker.cut()
            await broker.until(lambda: broker.connections == 2 and not outlet.pending)
    assert broker.values() == [(b"enms/latest/press-8", "x")] * 2
    assert [one["topic"] for one in logs if one["event"] == "state refused"] == ["latest/press-7"]


async def test_state_of_qos_0_needs_no_answer() -> None:
    broker = HandBroker(reason=None)
    expected = Expected(machine="press-7", ts=NOW, operating_state="on", score=0.5)
    async with broker.outlet(window=1) as outlet:
        for number in range(300):
            outlet.keep(EXPECTED, ExpectedTopic(f"press-{number}"), expected)
        await broker.until(lambda: len(broker.got) == 300)
        assert not outlet.pending
    assert {(one.qos, one.mid) for one in broker.got} == {(0, 0)}


async def test_while_the_broker_does_not_read_little_is_written_and_the_newest_wins() -> None:
    broker = HandBroker()
    text = "x" * 10_000
    topics, rounds = 300, 60
    async with broker.outlet() as outlet:
        broker.reading.clear()
        tracemalloc.start()
        try:
            for number in range(topics * rounds):  # 180 MB
                one = Expected(machine="press-7", ts=NOW, operating_state=f"{text}{number}", score=0.5)
                outlet.keep(EXPECTED, ExpectedTopic(f"press-{number % topics}"), one)
                if number % 20 == 0:
                    await asyncio.sleep(0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert outlet.pending == topics
        assert peak < 15_000_000
        broker.reading.set()
        last = {
            f"enms/expected/press-{n}".encode(): f"{text}{topics * (rounds - 1) + n}" for n in range(topics)
        }
        await broker.until(lambda: not outlet.pending)
    assert {one.topic: decode(Expected, one.payload).operating_state for one in broker.got} == last
    assert len(broker.got) < topics * rounds / 5


async def test_an_event_is_not_kept() -> None:
    event: Channel[AnnounceTopic, Announce] = ANNOUNCE
    outlet = Outlet(BusAddress("127.0.0.1", 1), "gateway-state", "secret")
    with pytest.raises(ValueError, match="announce is an event, not a state: publish it"):
        outlet.keep(event, AnnounceTopic("press-7"), Announce())
    assert not outlet.pending


async def test_leaving_sends_what_waits_and_does_not_wait_for_ever_for_the_answers() -> None:
    broker = HandBroker(reason=None)
    async with broker.outlet() as outlet:
        for number in range(250):
            keep(outlet, f"press-{number}", number)
        started = time.monotonic()
    assert len(broker.got) == 250
    assert broker.goodbyes == 1
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("size", [0, 100, 110, 200, 2000, 2048, 20_000, 3_000_000])
@pytest.mark.parametrize("mid", [0, 1, 255, 256, 65535])
def test_a_retained_packet_is_the_same_as_any_publish(size: int, mid: int) -> None:
    payload = b"x" * size
    fast = wire.retain(b"\0\x06enms/a", payload, mid)
    assert fast == wire.publish("enms/a", payload, qos=1 if mid else 0, mid=mid, retain=True)


def test_what_the_broker_takes_stands_in_its_connack() -> None:
    (one,) = wire.Splitter().feed(b"\x20\x0b\0\0\x08\x21\x00\x14\x27\x00\x00\x01\x00")
    assert isinstance(one, wire.Connack)
    assert (one.receive_maximum, one.packet_maximum) == (20, 256)
