"""MQTT 5 as bytes, for many messages at once: a template of fixed length, its digits filled in by numpy."""

from typing import Final

import numpy as np
import numpy.typing as npt

from broker import wire, wire_parts
from enms.bench.truth import Integers, Load

MIDS: Final = 65_000
"""Packet ids go round from 1 to this."""
PUBACK: Final = 0x40


class BrokerRefusedError(RuntimeError):
    """The broker did not take a connection or a message; the message says why."""


def connect(client: str, password: str) -> bytes:
    """Return CONNECT: a clean start, no keep-alive (a generator waits long between two runs)."""
    return wire.connect(client, client, password, clean_start=True, session_expiry_s=0, keepalive_s=0)


def receive_maximum(data: bytes) -> int:
    """Return how many messages may be under way, from a CONNACK. Raises BrokerRefusedError."""
    found = wire.Splitter().feed(data)
    if not found or not isinstance(found[0], wire.Connack) or found[0].reason >= wire_parts.FAILURE:
        raise BrokerRefusedError(f"the broker refused the connection: {found or data.hex(' ')}")
    body_at = 2  # a CONNACK is shorter than 128 bytes
    properties, _ = wire_parts.properties(data, body_at + 2, len(data))
    given = properties.get(wire_parts.RECEIVE_MAXIMUM)
    return wire.RECEIVE_MAXIMUM if given is None else int.from_bytes(given, "big")


def acknowledged(data: bytes) -> tuple[Integers, bytes]:
    """Return the packet ids a stream of PUBACKs acknowledges, and what is left of an unfinished one.

    Raises BrokerRefusedError where the broker says anything else.
    """
    if len(data) < 4:  # noqa: PLR2004  the shortest one
        return np.empty(0, np.int64), data
    size = 2 + data[1]
    count = len(data) // size
    table = np.frombuffer(data, np.uint8, count * size).reshape(count, size)
    same = (table[:, 0] == PUBACK) & (table[:, 1] == data[1])
    if size > 4:  # noqa: PLR2004  with a reason code: 0x10 says that nobody subscribes
        same &= table[:, 4] < wire_parts.FAILURE
    if not same.all():
        count = int(np.argmin(same))
        if count == 0:
            said = wire.Splitter().feed(data)
            if said:
                raise BrokerRefusedError(f"the broker does not go on: {said[0]}")
            return np.empty(0, np.int64), data
    mids = table[:count, 2].astype(np.int64) << 8 | table[:count, 3]
    return mids, data[count * size :]


def mids_of(numbers: Integers) -> Integers:
    """Return the packet ids of messages."""
    return numbers % MIDS + 1


class Sheet:
    """PUBLISH packets of a load, all of the same length."""

    def __init__(self, load: Load, root: str) -> None:
        self._load = load
        topic = f"{root}/telemetry/{load.name(0)}"
        numbers = "".join(f',"{name}":000.00' for name in load.names)
        payload = f'{{"ts":"2000-01-01T00:00:00.000Z"{numbers}}}'.encode()
        template = wire.publish(topic, payload, qos=1, mid=1)
        self._template = np.frombuffer(template, np.uint8)
        self._mid = template.index(topic.encode()) + len(topic)
        self._machine = self._mid - 5
        start = self._mid + 3
        self._second = start + payload.index(b'"2000') + 1
        self._ms = self._second + 20
        self._values = [start + payload.index(f'"{name}":'.encode()) + len(name) + 3 for name in load.names]

    @property
    def size(self) -> int:
        """Bytes of a packet."""
        return len(self._template)

    def packets(self, first: int, count: int) -> npt.NDArray[np.uint8]:
        """Return messages `first` and following, one packet a row."""
        numbers = np.arange(first, first + count, dtype=np.int64)
        machines, ticks = numbers % self._load.machines, numbers // self._load.machines
        rows = np.tile(self._template, (count, 1))
        mids = mids_of(numbers)
        rows[:, self._mid] = mids >> 8
        rows[:, self._mid + 1] = mids & 255
        _digits(rows, self._machine, machines, 5)
        self._write_times(rows, self._load.times_ms(machines, ticks))
        values = self._load.hundredths(machines, ticks)
        for column, place in enumerate(self._values):
            whole, part = np.divmod(values[:, column], 100)
            _digits(rows, place, whole, 3)
            _digits(rows, place + 4, part, 2)
        return rows

    def _write_times(self, rows: npt.NDArray[np.uint8], times_ms: Integers) -> None:
        seconds, ms = np.divmod(times_ms, 1000)
        different, which = np.unique(seconds, return_inverse=True)
        texts = np.datetime_as_string(different.astype("datetime64[s]")).astype("S19")
        rows[:, self._second : self._second + 19] = texts.view(np.uint8).reshape(-1, 19)[which]
        _digits(rows, self._ms, ms, 3)


def _digits(rows: npt.NDArray[np.uint8], place: int, numbers: Integers, count: int) -> None:
    for column in range(place + count - 1, place - 1, -1):
        numbers, digit = np.divmod(numbers, 10)
        rows[:, column] = digit + ord("0")
