"""MQTT 5 as bytes, however they are cut."""

import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import wire
from broker.wire_parts import KEPT_USER_PROPERTIES, explain

texts = st.text(st.characters(codec="utf-8"), max_size=20)
topics = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
mids = st.integers(1, 65535)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, wire.Publish]:
    qos = draw(st.integers(0, 1))
    mid = draw(mids) if qos else 0
    topic, payload, retain, again = draw(
        st.tuples(
            topics,
            st.binary(max_size=30) | st.binary(min_size=120, max_size=140),
            st.booleans(),
            st.booleans(),
        )
    )
    user = tuple(draw(st.lists(st.tuples(texts, texts), max_size=3)))
    expiry_s = draw(st.none() | st.integers(0, 2**32 - 1))
    sent = wire.publish(
        topic, payload, qos=qos, mid=mid, retain=retain, again=again, expiry_s=expiry_s, user=user
    )
    return sent, wire.Publish(topic.encode(), payload, qos, retain, again, mid, user)


others = st.sampled_from(
    [
        (b"\x20\x03\x01\x00\x00", wire.Connack(0, session_present=True)),
        (
            b"\x20\x0b\x00\x00\x08\x13\x00\x0a\x21\x00\x14\x24\x01",
            wire.Connack(0, session_present=False, keepalive_s=10, receive_maximum=20),
        ),
        (b"\x20\x08\x00\x87\x05\x1f\x00\x02no", wire.Connack(0x87, session_present=False, text="no")),
        (b"\x90\x05\x00\x07\x00\x01\x87", wire.Suback(7, (1, 0x87))),
        (b"\x40\x02\x01\x02", wire.Puback(0x0102, 0)),
        (b"\x40\x04\x01\x02\x97\x00", wire.Puback(0x0102, 0x97)),
        (b"\xd0\x00", wire.Pingresp()),
        (b"\xe0\x00", wire.Disconnect(0)),
        (b"\xe0\x02\x8b\x00", wire.Disconnect(0x8B)),
    ]
)
streams = st.lists(messages() | others, max_size=8)


@given(streams, st.data())
def test_a_stream_gives_the_same_packets_wherever_it_is_cut(
    stream: list[tuple[bytes, wire.Packet]], data: st.DataObject
) -> None:
    whole = b"".join(sent for sent, _ in stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    splitter = wire.Splitter()
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert [one for piece in pieces for one in splitter.feed(piece)] == [packet for _, packet in stream]


@given(streams)
def test_a_stream_gives_the_same_packets_byte_by_byte(stream: list[tuple[bytes, wire.Packet]]) -> None:
    splitter = wire.Splitter()
    found = [one for sent, _ in stream for byte in sent for one in splitter.feed(bytes((byte,)))]
    assert found == [packet for _, packet in stream]


@pytest.mark.parametrize("size", [0, 1, 120, 127, 128, 16_370, 16_384, 2_097_140, 2_097_152, 4 * 1024 * 1024])
def test_a_payload_of_any_size_a_source_may_send_comes_through(size: int) -> None:
    sent = wire.publish("enms/telemetry/m", b"x" * size, qos=1, mid=9)
    splitter = wire.Splitter()
    pieces = [sent[at : at + 262_144] for at in range(0, len(sent), 262_144)]
    found = [one for piece in pieces for one in splitter.feed(piece)]
    assert found == [wire.Publish(b"enms/telemetry/m", b"x" * size, 1, False, False, 9)]  # noqa: FBT003


def test_a_packet_that_is_too_large_is_refused_before_its_bytes_come() -> None:
    head = b"\x30" + b"\x80\x80\x80\x03"
    with pytest.raises(wire.WireError, match="a packet of 6291456 bytes"):
        wire.Splitter().feed(head + b"x")


@given(st.binary(max_size=200))
def test_garbage_is_refused_in_our_own_words_or_waited_for(garbage: bytes) -> None:
    splitter = wire.Splitter()
    try:
        found = splitter.feed(garbage)
    except wire.WireError as error:
        refused = str(error)
    else:
        refused = ""
        assert len(found) <= len(garbage) / 2
    assert not refused or refused.startswith("the broker sent")


@given(messages(), st.data())
def test_a_damaged_message_is_read_or_refused_and_hides_nothing_that_follows(
    message: tuple[bytes, wire.Publish], data: st.DataObject
) -> None:
    sent = bytearray(message[0])
    begin = 1 + next(at for at in range(1, 5) if sent[at] < 128)
    if begin < len(sent):
        sent[data.draw(st.integers(begin, len(sent) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = wire.Splitter().feed(bytes(sent) + b"\xd0\x00")
    except wire.WireError:
        return
    assert len(found) == 2
    assert found[1] == wire.Pingresp()


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"\x30\x02\x00\x00", "without a topic"),
        (b"\x30\x04\x00\x00\x00x", "without a topic"),
        (b"\x30\x04\x00\x09ab", "cut short"),
        (b"\x32\x05\x00\x01t\x00\x01", "cut short"),
        (b"\x34\x06\x00\x01t\x00\x01\x00", "QoS 2"),
        (b"\x30\x05\x00\x01t\x05x", "properties that are cut short"),
        (b"\x30\x06\x00\x01t\x02\x7fx", "a property 0x7f"),
        (b"\x30\x06\x00\x01t\x02\x02x", "a property that is cut short"),
        (b"\x30\x09\x00\x01t\x05\x26\x00\x01n\x00", "a property that is cut short"),
        (b"\x30\xff\xff\xff\xff", "more than four bytes"),
        (b"\x40\x01\x00", "cut short"),
        (b"\x20\x01\x00", "cut short"),
        (b"\x90\x01\x00", "cut short"),
        (b"\x10\x00", "nobody asked for"),
    ],
)
def test_what_is_not_mqtt_ends_the_connection(packet: bytes, why: str) -> None:
    with pytest.raises(wire.WireError, match=why):
        wire.Splitter().feed(packet)


def test_a_message_full_of_user_properties_is_read_and_only_the_first_of_them_kept() -> None:
    user = [(f"n{number}", "") for number in range(5000)]
    sent = wire.publish("t", b"payload", user=user)
    (found,) = wire.Splitter().feed(sent)
    assert isinstance(found, wire.Publish)
    assert found.user == tuple(user[:KEPT_USER_PROPERTIES])
    assert found.payload == b"payload"


def test_all_kinds_of_properties_of_a_message_are_stepped_over() -> None:
    properties = (
        b"\x01\x01"  # payload format
        b"\x02\x00\x00\x00\x1e"  # expiry
        b"\x03\x00\x04json"  # content type
        b"\x08\x00\x01r"  # response topic
        b"\x09\x00\x02\xff\x00"  # correlation data
        b"\x0b\x80\x01"  # subscription identifier
        b"\x26\x00\x03seq\x00\x0242"
        b"\x23\x00\x00"  # topic alias
    )
    body = b"\x00\x01t" + bytes((len(properties),)) + properties + b"payload"
    (found,) = wire.Splitter().feed(bytes((0x30, len(body))) + body)
    assert found == wire.Publish(b"t", b"payload", 0, False, False, 0, (("seq", "42"),))  # noqa: FBT003


@given(st.lists(mids, max_size=50))
def test_many_acknowledgements_are_the_single_ones_in_their_order(numbers: list[int]) -> None:
    assert wire.pubacks(array("H", numbers)) == b"".join(struct.pack(">HH", 0x4002, one) for one in numbers)


def test_a_refusal_is_told_in_words() -> None:
    assert explain(0x87) == "not authorized"
    assert explain(0x97, "too much") == "quota exceeded (too much)"
    assert explain(0xEE) == "reason 0xee"


def test_a_text_too_long_for_mqtt_is_not_sent() -> None:
    with pytest.raises(OverflowError):
        wire.publish("t" * 65536, b"")
