"""The load generator: a process of its own that publishes prebuilt packets at QoS 1.

`python -m enms.bench.load '{"host": …}'`, the broker password as the first line on its input, then commands,
one a line: `flat MESSAGES RATE` (RATE a second, 0 as fast as the broker takes them) or `paced SECONDS` (every
machine once a second, spread evenly over it). It answers in lines of JSON; the last of a command has `done`.
"""

import json
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from enms.bench import packets
from enms.bench.latency_signal import SIGNALS
from enms.bench.truth import SLICES, Load

CHUNK: Final = 5000
TELL_S: Final = 0.5
ANSWER_S: Final = 30.0
READ_BYTES: Final = 1 << 18
LEAD_S: Final = 1.0
NAP_S: Final = 0.05
BREATH_S: Final = 0.0005


@dataclass(slots=True)
class Sender:
    """One connection, never more messages under way than the broker's Receive Maximum.

    `sent` and `acknowledged` count messages since the start; the broker acknowledges in their order.
    """

    line: socket.socket
    window: int
    sent: int = 0
    acknowledged: int = 0
    _rest: bytes = b""
    _told_at: float = field(default_factory=time.monotonic)

    def push(self, data: memoryview, size: int) -> None:
        """Send packets of `size` bytes as the window opens."""
        begun, at, total = self.sent, 0, len(data)
        while at < total:
            room = self.window - (self.sent - self.acknowledged)
            # A packet that was begun already counts as sent.
            limit = min(total, (self.sent - begun + room) * size)
            if limit < total and room < self.window // 4:
                # Many acknowledgements at a time: woken by each, we would take the rest of a processor.
                time.sleep(BREATH_S)
                self._take(0.0)
            elif at < limit:
                try:
                    at += self.line.send(data[at:limit])
                except BlockingIOError:
                    self._wait(writing=True)
                self.sent = begun + -(-at // size)
                self._take(0.0)
            else:
                self._wait(writing=False)

    def rest_until(self, due: float) -> None:
        """Sleep until a time on the wall clock; acknowledgements wait meanwhile: each would wake us."""
        while (left_s := due - time.time()) > 0:
            time.sleep(min(left_s, NAP_S))
            self._take(0.0)

    def drain(self) -> None:
        """Wait until everything sent is acknowledged. Raises TimeoutError."""
        deadline = time.monotonic() + ANSWER_S
        before = self.acknowledged
        while self.acknowledged < self.sent:
            self._take(1.0)
            if self.acknowledged > before:
                before, deadline = self.acknowledged, time.monotonic() + ANSWER_S
            elif time.monotonic() > deadline:
                msg = f"the broker acknowledged {self.acknowledged} of {self.sent} messages, then no more"
                raise TimeoutError(msg)

    def tell(self, **more: object) -> None:
        """Write how far it is."""
        self._told_at = time.monotonic()
        _say(sent=self.sent, acknowledged=self.acknowledged, **more)

    def _wait(self, *, writing: bool) -> None:
        readable, _, _ = select.select([self.line], [self.line] if writing else [], [], ANSWER_S)
        if readable:
            self._take(0.0)

    def _take(self, wait_s: float) -> None:
        if time.monotonic() - self._told_at > TELL_S:
            self.tell()
        if not select.select([self.line], [], [], wait_s)[0]:
            return
        data = self.line.recv(READ_BYTES)
        if not data:
            raise packets.BrokerRefusedError("the broker closed the connection")
        mids, self._rest = packets.acknowledged(self._rest + data)
        numbers = np.arange(self.acknowledged, self.acknowledged + len(mids), dtype=np.int64)
        if not np.array_equal(mids, packets.mids_of(numbers)):
            msg = f"message {self.acknowledged} or one soon after it was acknowledged out of order"
            raise packets.BrokerRefusedError(msg)
        self.acknowledged += len(mids)


def flat(sender: Sender, sheet: packets.Sheet, messages: int, rate: float) -> dict[str, Any]:
    """Send messages, `rate` a second at most where it is not 0."""
    first, last = sender.sent, sender.sent + messages
    chunk = CHUNK if not rate else max(1, min(CHUNK, int(rate / 100)))
    ready = sheet.packets(first, min(chunk, messages))
    began = time.time()
    while True:
        done = sender.sent - first
        if rate:
            sender.rest_until(began + done / rate)
        sender.push(ready.data.cast("B"), sheet.size)
        if sender.sent == last:
            break
        ready = sheet.packets(sender.sent, min(chunk, last - sender.sent))
    ended = time.time()
    sender.drain()
    return {"began": began, "ended": ended, "acknowledged_at": time.time()}


def paced(sender: Sender, sheet: packets.Sheet, load: Load, seconds: int) -> dict[str, Any]:
    """Send a tick of all machines a second, each machine at its own time; tells how late it was itself."""
    lates: list[float] = []
    first_tick = sender.sent // load.machines
    for tick in range(first_tick, first_tick + seconds):
        for part in range(SLICES):
            first, last = _slice(load, part), _slice(load, part + 1)
            if first == last:
                continue
            rows = sheet.packets(tick * load.machines + first, last - first)
            due = load.time_ms(tick * load.machines + first) / 1000
            sender.rest_until(due)
            sender.push(rows.data.cast("B"), sheet.size)
            lates.append(time.time() - due)
    ended = time.time()
    sender.drain()
    late = np.percentile(np.array(lates) * 1000, [50, 99, 100]).round(1).tolist()
    names = ("late_p50_ms", "late_p99_ms", "late_max_ms")
    return {"began": load.base_ms / 1000, "ended": ended, **dict(zip(names, late, strict=True))}


def _slice(load: Load, part: int) -> int:
    """Return the first machine whose offset is that of a part or a later one."""
    return -(-part * load.machines // SLICES)


def run(given: dict[str, Any]) -> None:
    """Connect and obey until the input ends."""
    password = sys.stdin.readline().strip()
    line = socket.create_connection((given["host"], given["port"]), ANSWER_S)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.sendall(packets.connect(given["user"], password))
    window = packets.receive_maximum(line.recv(1024))
    line.setblocking(False)  # noqa: FBT003  its own signature
    sender = Sender(line, window)
    _say(window=window)
    load: Load | None = None
    for text in sys.stdin:
        verb, *numbers = text.split()
        if load is None:  # the first whole second that is not over yet; some of it ahead for who is paced
            base_s = int(time.time()) if verb == "flat" else int(time.time() + LEAD_S) + 1
            signal = SIGNALS[given["signal"]]
            load = signal(given["machines"], given["metrics"], base_s * 1000, given["spacing_ms"])
            sheet = packets.Sheet(load, given["root"])
            _say(base_ms=load.base_ms)
        if verb == "flat":
            found = flat(sender, sheet, int(numbers[0]), float(numbers[1]))
        else:
            found = paced(sender, sheet, load, int(numbers[0]))
        sender.tell(done=True, cpu_s=round(time.process_time(), 3), **found)


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
