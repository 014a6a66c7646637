"""What was received and not yet taken: in its order, with a bound, and what is owed to the broker for it.

No sockets and no clock: `broker.intake` brings the packets, and writes the acknowledgements found here.
"""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from broker.roles import MOST_WORKERS
from broker.wire import Packet, Publish

KNOWN_TOPICS: Final = 100_000
_STEP: Final = timedelta(microseconds=1)
_CLOCK_PUT_BACK: Final = timedelta(minutes=1)


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """One message as it came: `topic` is relative to the root, `mid` the packet id, 0 at QoS 0.

    `arrived` is aware UTC and rises by a microsecond or more from message to message, so that no two
    share it; only when the clock is put back by over a minute does it follow the clock. `again` says
    that the broker may have sent it before. `user` are the first user properties, at most 16.
    """

    topic: str
    payload: bytes
    arrived: datetime
    retained: bool
    again: bool
    mid: int
    user: tuple[tuple[str, str], ...]


@dataclass(slots=True, eq=False)
class IncomingBatch:
    """Messages in their order, bound to the connection they came on, to be acknowledged as one."""

    messages: list[Incoming]
    mids: "array[int]"
    connection: int
    settled: bool = field(default=False)


class Inbox:
    """Messages of one connection after the other; `clear` forgets what the ended one brought.

    What `wanted` refuses (a topic relative to the root) is counted for the broker only: it is
    acknowledged in its turn, as the protocol demands, together with what was wanted before it.
    """

    def __init__(
        self,
        root: str,
        capacity: int,
        capacity_bytes: int,
        wanted: Callable[[str], bool] | None = None,
    ) -> None:
        self._prefix = f"{root}/"
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._wanted = wanted
        self._names: dict[bytes, str | None] = {}
        self._free = datetime.min.replace(tzinfo=UTC)
        self.connection = 0
        self.clear()

    def clear(self) -> None:
        """Forget all messages, and what is owed for them; batches taken before are void from now on."""
        self.connection += 1
        self._messages: list[Incoming] = []
        self._bytes = 0
        self._mids = array("H")  # owed to the broker, in the order of arrival, what is not wanted as well
        self._taken = 0  # how many of these went out with batches
        self._ends: list[int] = []  # for each message: how many were owed when it had come
        self._open = 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def full(self) -> bool:
        """Whether nothing more should be read; what is read nevertheless is kept."""
        return self._reaches(1)

    @property
    def half_empty(self) -> bool:
        """Whether there is room for more, once it was full."""
        return not self._reaches(2)

    def _reaches(self, part: int) -> bool:
        return (
            len(self._messages) * part >= self._capacity
            or self._bytes * part >= self._capacity_bytes
            or len(self._mids) * part >= self._capacity * MOST_WORKERS
        )

    def put(self, packets: Iterable[Packet], now: datetime) -> list[Packet]:
        """Take in the messages among the packets, which came at `now`; return the other packets."""
        others: list[Packet] = []
        names, mids, ends, messages = self._names, self._mids, self._ends, self._messages
        taken, size = self._taken, self._bytes
        arrived = self._free
        if now > arrived or arrived - now > _CLOCK_PUT_BACK:
            arrived = now
        for packet in packets:
            if type(packet) is not Publish:
                others.append(packet)
                continue
            mid = packet.mid
            if mid:
                mids.append(mid)
            try:
                topic = names[packet.topic]
            except KeyError:
                topic = self._name(packet.topic)
            if topic is None:
                continue
            payload, user = packet.payload, packet.user
            messages.append(Incoming(topic, payload, arrived, packet.retained, packet.again, mid, user))
            ends.append(taken + len(mids))
            size += len(payload)
            if user:
                size += _size(user)
            arrived += _STEP
        self._bytes = size
        self._free = arrived
        return others

    def take(self, most: int) -> IncomingBatch:
        """Take out up to `most` messages, the oldest first."""
        messages = self._messages[:most]
        if not messages:
            return IncomingBatch([], array("H"), self.connection)
        owed = self._ends[len(messages) - 1] - self._taken
        del self._messages[:most]
        del self._ends[:most]
        self._bytes -= sum(len(one.payload) + (_size(one.user) if one.user else 0) for one in messages)
        self._open += 1
        return IncomingBatch(messages, self._owe(owed), self.connection)

    def settle(self, batch: IncomingBatch) -> "array[int]":
        """Return what can be acknowledged now that `batch` is done with; nothing for one that is void."""
        if batch.settled or batch.connection != self.connection or not batch.messages:
            return array("H")
        batch.settled = True
        self._open -= 1
        return batch.mids + self.unwanted()

    def unwanted(self) -> "array[int]":
        """Return what can be acknowledged by itself: nothing that came before it is still to be done."""
        if self._messages or self._open:
            return array("H")
        return self._owe(len(self._mids))

    def _owe(self, count: int) -> "array[int]":
        mids = self._mids[:count]
        del self._mids[:count]
        self._taken += count
        return mids

    def _name(self, topic: bytes) -> str | None:
        """Return a topic relative to the root, None where it is not wanted; remembered for the next time."""
        name: str | None = topic.decode(errors="replace").removeprefix(self._prefix)
        if name is not None and self._wanted is not None and not self._wanted(name):
            name = None
        if len(self._names) >= KNOWN_TOPICS:
            self._names.clear()
        self._names[topic] = name
        return name


def _size(user: tuple[tuple[str, str], ...]) -> int:
    return sum(len(name) + len(value) for name, value in user)
