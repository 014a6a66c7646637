"""The few packets of MQTT 5 a hot path needs, as bytes: no sockets, no clock, no state but unfinished bytes.

The bus at large talks through an MQTT client; this codec is for those who receive or send tens of
thousands of messages a second (`broker.intake`, `broker.outlet`, the load of the benchmarks).
"""

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from broker import wire_parts as part
from broker.wire_parts import WireError

MOST_PACKET_BYTES: Final = 4 * 1024 * 1024 + 64 * 1024
"""The largest packet that is read: the largest a source may send, and what the broker may add to it."""
RECEIVE_MAXIMUM: Final = 65535
NO_RETAINED: Final = 2
"""Retain handling of a subscription: do not send what is retained already."""
_CONNECT, _CONNACK, _PUBLISH, _PUBACK = 0x10, 0x20, 0x30, 0x40
_SUBSCRIBE, _SUBACK, _PINGRESP, _DISCONNECT = 0x82, 0x90, 0xD0, 0xE0
PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
_LENGTHS: Final = tuple(part.length(size) for size in range(2048))  # to look up what most packets have


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes at QoS 1, retained, when the connection breaks off."""

    topic: str
    payload: bytes


class Publish(msgspec.Struct, frozen=True, gc=False):
    """A message. `topic` is left as bytes: who reads many knows them again without decoding."""

    topic: bytes
    payload: bytes
    qos: int
    retained: bool
    again: bool
    mid: int
    user: tuple[tuple[str, str], ...] = ()


class Connack(msgspec.Struct, frozen=True):
    """The answer to CONNECT. `keepalive_s` is set where the broker wants another than ours.

    The broker takes up to `receive_maximum` messages of QoS 1 that it has not answered, and packets of up
    to `packet_maximum` bytes.
    """

    reason: int
    session_present: bool
    text: str = ""
    keepalive_s: int | None = None
    receive_maximum: int = RECEIVE_MAXIMUM
    packet_maximum: int = part.LARGEST_PACKET_BYTES


class Suback(msgspec.Struct, frozen=True):
    """The answer to SUBSCRIBE, a reason for each filter: the QoS granted, or a refusal."""

    mid: int
    reasons: tuple[int, ...]
    text: str = ""


class Puback(msgspec.Struct, frozen=True, gc=False):
    """The answer to a PUBLISH of ours at QoS 1."""

    mid: int
    reason: int


class Disconnect(msgspec.Struct, frozen=True):
    """The broker ends the connection and says why."""

    reason: int
    text: str = ""


class Pingresp(msgspec.Struct, frozen=True):
    """The answer to PINGREQ."""


Packet = Publish | Connack | Suback | Puback | Disconnect | Pingresp


def connect(  # noqa: PLR0913  what a CONNECT has
    client_id: str,
    username: str,
    password: str,
    *,
    clean_start: bool,
    session_expiry_s: int,
    keepalive_s: int,
    receive_maximum: int = RECEIVE_MAXIMUM,
    will: Will | None = None,
) -> bytes:
    """Return a CONNECT, which tells the broker to keep back packets larger than we read."""
    flags = 0xC0 | (0x02 if clean_start else 0) | (0x2C if will else 0)
    properties = (
        part.number(part.SESSION_EXPIRY, session_expiry_s, 4)
        + part.number(part.RECEIVE_MAXIMUM, receive_maximum, 2)
        + part.number(part.PACKET_MAXIMUM, MOST_PACKET_BYTES, 4)
    )
    body = part.text("MQTT") + bytes((5, flags)) + keepalive_s.to_bytes(2, "big")
    body += part.length(len(properties)) + properties + part.text(client_id)
    if will is not None:
        body += b"\x00" + part.text(will.topic) + part.sized(will.payload)
    return part.packet(_CONNECT, body + part.text(username) + part.text(password))


def subscribe(
    mid: int, filters: Iterable[str], qos: int, *, retain_handling: int = NO_RETAINED, no_local: bool = False
) -> bytes:
    """Return a SUBSCRIBE with the same options for all filters."""
    options = bytes((qos | (0x04 if no_local else 0) | retain_handling << 4,))
    asked = b"".join(part.text(one) + options for one in filters)
    return part.packet(_SUBSCRIBE, mid.to_bytes(2, "big") + b"\x00" + asked)


def publish(  # noqa: PLR0913  what a PUBLISH has
    topic: str,
    payload: bytes,
    *,
    qos: int = 0,
    mid: int = 0,
    retain: bool = False,
    again: bool = False,
    expiry_s: int | None = None,
    user: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return a PUBLISH; `mid` is 1..65535 at QoS 1 and means nothing at QoS 0."""
    properties = b"" if expiry_s is None else part.number(part.EXPIRY, expiry_s, 4)
    for name, value in user:
        properties += bytes((part.USER,)) + part.text(name) + part.text(value)
    head = _PUBLISH | (0x08 if again else 0) | qos << 1 | retain
    number = mid.to_bytes(2, "big") if qos else b""
    return part.packet(head, part.text(topic) + number + part.length(len(properties)) + properties + payload)


def retain(topic: bytes, payload: bytes, mid: int) -> bytes:
    """Return a retained PUBLISH of a topic that `wire_parts.text` has written; `mid` 0 stands for QoS 0."""
    if not mid:
        return b"\x31" + part.length(len(topic) + 1 + len(payload)) + topic + b"\0" + payload
    size = len(topic) + 3 + len(payload)
    length = _LENGTHS[size] if size < len(_LENGTHS) else part.length(size)
    return b"\x33%b%b%c%c\0%b" % (length, topic, mid >> 8, mid & 255, payload)


def pubacks(mids: "array[int]") -> bytes:
    """Return the PUBACKs of all those packet ids (an array of type `H`), in their order, as one piece."""
    words = array("H", bytes(4 * len(mids)))
    words[0::2] = array("H", (0x4002,)) * len(mids)
    words[1::2] = mids
    if sys.byteorder == "little":
        words.byteswap()
    return words.tobytes()


class Splitter:
    """Cuts a stream of bytes into packets, wherever it was cut before."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._have = 0
        self._need = 0

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets that `data` completes. Raises WireError, and is of no use after that."""
        if self._pieces:
            self._pieces.append(data)
            self._have += len(data)
            if self._have < self._need:  # joined once a packet, however small the pieces come
                return []
            data = b"".join(self._pieces)
            self._pieces.clear()
        packets: list[Packet] = []
        at = _split(data, packets)
        if at < len(data):
            rest = data[at:]
            self._pieces.append(rest)
            self._have = len(rest)
            self._need = _wanted(rest)
        return packets


def _split(data: bytes, packets: list[Packet]) -> int:  # noqa: C901, PLR0912  a call costs more than a branch
    """Append the whole packets of `data`; return where the first unfinished one begins.

    Each message passes here: what is not needed for nearly all of them is left to others.
    """
    add = packets.append
    size = len(data)
    start = 0
    while start + 1 < size:
        head = data[start]
        at = start + 2
        length = data[start + 1]
        if length > 127:  # noqa: PLR2004  more bytes of length follow
            if at >= size:
                break
            more = data[at]
            at += 1
            length += (more << 7) - 128
            if more > 127:  # noqa: PLR2004
                found = part.read_length(data, start + 1)
                if found is None:
                    break
                length, at = found
        end = at + length
        if end > size:
            if length > MOST_PACKET_BYTES:
                msg = f"the broker sent a packet of {length} bytes; at most {MOST_PACKET_BYTES} are read"
                raise WireError(msg)
            break
        if head & 0xF0 != _PUBLISH:
            add(_other(head, data[at:end]))
        elif length < 4:  # noqa: PLR2004
            raise WireError("the broker sent a message without a topic")
        else:
            topic_at = at + 2
            topic_end = topic_at + (data[at] << 8) + data[at + 1]
            qos = head >> 1 & 3
            at = topic_end + 2 if qos else topic_end
            if at >= end or topic_end == topic_at or qos > 1:
                raise WireError("the broker sent a message that is cut short, without a topic or of QoS 2")
            mid = (data[topic_end] << 8) + data[topic_end + 1] if qos else 0
            user: tuple[tuple[str, str], ...] = ()
            if data[at]:
                user, at = part.user_properties(data, at, end)
            else:
                at += 1
            topic = data[topic_at:topic_end]
            add(Publish(topic, data[at:end], qos, head & 1 == 1, head & 8 == 8, mid, user))  # noqa: PLR2004
        start = end
    return start


def _wanted(rest: bytes) -> int:
    """Return how many bytes the unfinished packet `rest` needs at least."""
    found = part.read_length(rest, 1)
    return len(rest) + 1 if found is None else found[0] + found[1]


def _other(head: int, body: bytes) -> Packet:
    try:
        return _read_other(head, body)
    except IndexError:
        msg = f"the broker sent a packet of type 0x{head:02x} that is cut short"
        raise WireError(msg) from None


def _read_other(head: int, body: bytes) -> Packet:
    if head == _PUBACK:
        return Puback((body[0] << 8) + body[1], body[2] if len(body) > 2 else 0)  # noqa: PLR2004
    if head == _CONNACK:
        found, _ = part.properties(body, 2, len(body))
        keepalive = found.get(part.KEEPALIVE)
        keepalive_s = None if keepalive is None else int.from_bytes(keepalive, "big")
        window = int.from_bytes(found.get(part.RECEIVE_MAXIMUM, b""), "big") or RECEIVE_MAXIMUM
        largest = int.from_bytes(found.get(part.PACKET_MAXIMUM, b""), "big") or part.LARGEST_PACKET_BYTES
        return Connack(body[1], body[0] & 1 == 1, part.said(found), keepalive_s, window, largest)
    if head == _SUBACK:
        found, at = part.properties(body, 2, len(body))
        return Suback((body[0] << 8) + body[1], tuple(body[at:]), part.said(found))
    if head == _PINGRESP:
        return Pingresp()
    if head == _DISCONNECT:
        found, _ = part.properties(body, 1, len(body)) if len(body) > 1 else ({}, 0)
        return Disconnect(body[0] if body else 0, part.said(found))
    msg = f"the broker sent a packet of type 0x{head:02x}, which nobody asked for"
    raise WireError(msg)
