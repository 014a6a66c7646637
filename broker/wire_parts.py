"""What the packets of MQTT 5 are made of: lengths, texts, properties, and reasons in words."""

from typing import Final

KEPT_USER_PROPERTIES: Final = 16
FAILURE: Final = 0x80
"""Reasons from here on are refusals."""
LARGEST_PACKET_BYTES: Final = 268_435_460
"""The largest packet there can be."""

REASONS: Final = {
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "the broker does not speak MQTT 5",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8D: "keep alive timeout",
    0x8E: "session taken over by another connection of the same name",
    0x8F: "topic filter invalid",
    0x90: "topic name invalid",
    0x93: "receive maximum exceeded",
    0x95: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x9F: "connection rate exceeded",
}

EXPIRY, SESSION_EXPIRY, KEEPALIVE, REASON = 0x02, 0x11, 0x13, 0x1F
RECEIVE_MAXIMUM, USER, PACKET_MAXIMUM = 0x21, 0x26, 0x27
"""Properties by their identifiers."""

# How the value of a property is written, by its identifier: a number of so many bytes, or one of these.
_LENGTH, _STRING, _PAIR = 0, -1, -2
_FORMS: Final = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
    0x0B: _LENGTH,
    **dict.fromkeys((0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F), _STRING),
    0x26: _PAIR,
}


class WireError(ConnectionError):
    """The broker sent what is not MQTT 5; nothing after it can be read, so the connection has to end."""


def explain(reason: int, text: str = "") -> str:
    """Return a reason in words, with the broker's own `text` where it gave one."""
    said = REASONS.get(reason, f"reason 0x{reason:02x}")
    return f"{said} ({text})" if text else said


def read_length(data: bytes, at: int) -> tuple[int, int] | None:
    """Read a number of one to four bytes; return it and where it ends, None when bytes are missing."""
    value = 0
    for place in range(4):
        if at + place >= len(data):
            return None
        byte = data[at + place]
        value += (byte & 127) << 7 * place
        if byte < 128:  # noqa: PLR2004
            return value, at + place + 1
    raise WireError("the broker sent a length of more than four bytes")


def user_properties(data: bytes, at: int, end: int) -> tuple[tuple[tuple[str, str], ...], int]:
    """Return the user properties of a message, and where its payload begins.

    Only the first 16 are kept, or a small packet full of empty ones would fill the memory.
    """
    found: list[tuple[str, str]] = []
    at, stop = _span(data, at, end)
    while at < stop and len(found) < KEPT_USER_PROPERTIES:
        identifier, at, after = _property(data, at, stop)
        if identifier == USER:
            name_end = at + 2 + (data[at] << 8) + data[at + 1]
            name = data[at + 2 : name_end].decode(errors="replace")
            found.append((name, data[name_end + 2 : after].decode(errors="replace")))
        at = after
    return tuple(found), stop


def properties(data: bytes, at: int, end: int) -> tuple[dict[int, bytes], int]:
    """Return the properties, the last of each kind, as the bytes of their values, and where they end."""
    found: dict[int, bytes] = {}
    at, stop = _span(data, at, end)
    while at < stop:
        identifier, at, after = _property(data, at, stop)
        found[identifier] = data[at:after]
        at = after
    return found, stop


def _span(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the properties after their length at `at` begin and end."""
    found = read_length(data, at)
    if found is None or found[0] + found[1] > end:
        raise WireError("the broker sent properties that are cut short")
    return found[1], found[0] + found[1]


def _property(data: bytes, at: int, stop: int) -> tuple[int, int, int]:
    """Return what the property at `at` is, and where its value begins and ends."""
    identifier = data[at]
    at += 1
    form = _FORMS.get(identifier)
    if form is None:
        msg = f"the broker sent a property 0x{identifier:02x}, which MQTT 5 does not know"
        raise WireError(msg)
    after = at + form
    if form == _LENGTH:
        found = read_length(data, at)
        after = stop + 1 if found is None else found[1]
    elif form < 0:
        after = at
        for _ in range(-form):
            after += 2 + int.from_bytes(data[after : after + 2], "big")
    if after > stop:
        raise WireError("the broker sent a property that is cut short")
    return identifier, at, after


def said(properties: dict[int, bytes]) -> str:
    """Return the reason the broker gave in its own words, empty where it gave none."""
    return properties.get(REASON, b"\0\0")[2:].decode(errors="replace")


def packet(head: int, body: bytes) -> bytes:
    """Return a packet whose first byte is `head`."""
    return bytes((head,)) + length(len(body)) + body


def length(value: int) -> bytes:
    """Return a length in one to four bytes."""
    found = bytearray()
    while value > 127:  # noqa: PLR2004
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def number(identifier: int, value: int, size: int) -> bytes:
    """Return a property that is a number of `size` bytes."""
    return bytes((identifier,)) + value.to_bytes(size, "big")


def text(text: str) -> bytes:
    """Return a text of at most 65535 bytes with its length before it. Raises OverflowError."""
    return sized(text.encode())


def sized(data: bytes) -> bytes:
    """Return at most 65535 bytes with their length before them. Raises OverflowError."""
    return len(data).to_bytes(2, "big") + data
