"""A WebSocket as a client sees it (RFC 6455), for MQTT in binary frames: bytes in, bytes out, no socket."""

import base64
import hashlib
import os
from typing import Final

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SHORT, _TWO_BYTES, _EIGHT_BYTES = 125, 126, 127


class WebSocketError(ConnectionError):
    """The other side is no WebSocket server of MQTT, or ended the connection; the message says which."""


class Handshake:
    """The upgrade of an HTTP connection."""

    def __init__(self, host: str, path: str = "/mqtt") -> None:
        self._key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self._key}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: mqtt",
        )
        self.request = "\r\n".join((*lines, "", "")).encode()
        self._heard = b""

    def feed(self, data: bytes) -> bytes | None:
        """Return what came behind the answer once it is whole, None before. Raises WebSocketError."""
        self._heard += data
        head, end, rest = self._heard.partition(b"\r\n\r\n")
        if not end:
            return None
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
        digest = hashlib.sha1(f"{self._key}{_GUID}".encode(), usedforsecurity=False).digest()
        if (
            " 101 " not in f"{status} "
            or fields.get("sec-websocket-accept") != base64.b64encode(digest).decode()
        ):
            raise WebSocketError(f"no WebSocket was opened: {status}")
        return rest


class Frames:
    """Cuts a stream of bytes into frames; a message in several frames is handed out piece by piece."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return (opcode, payload) of each frame that `data` completes."""
        self._rest += data
        found = []
        while (frame := _first(self._rest)) is not None:
            opcode, start, end = frame
            found.append((opcode, self._rest[start:end]))
            self._rest = self._rest[end:]
        return found


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one whole frame, masked as a client must."""
    size, mask = len(payload), os.urandom(4)
    if size <= _SHORT:
        length = bytes((0x80 | size,))
    elif size < 1 << 16:
        length = bytes((0x80 | _TWO_BYTES,)) + size.to_bytes(2, "big")
    else:
        length = bytes((0x80 | _EIGHT_BYTES,)) + size.to_bytes(8, "big")
    whole = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")
    return bytes((0x80 | opcode,)) + length + mask + masked


def _first(data: bytes) -> tuple[int, int, int] | None:
    """Return opcode, start and end of the payload of the first frame, None where it is not whole."""
    if len(data) < 2:  # noqa: PLR2004
        return None
    size, start = data[1] & 0x7F, 2
    if size > _SHORT:
        more = 2 if size == _TWO_BYTES else 8
        size, start = int.from_bytes(data[2 : 2 + more], "big"), 2 + more
    whole = start + size <= len(data)
    return (data[0] & 0x0F, start, start + size) if whole else None
