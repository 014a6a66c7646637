"""Messages that are wrong in every way a seed can think of, each with what must become of it.

A `mutated` one begins soundly, with a time and a number nobody else has: it is stored with that number if
the whole is still JSON, and refused with its head otherwise. All others must be refused whole.
"""

import json
import random
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from faults.senders import METRIC, Sender
from faults.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable

MACHINES: Final = 10
_MACHINE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NUMBER: Final = re.compile(rf'"{METRIC}": (\d+)')
_PLANES: Final = (
    (0x21, 0x7E),
    (0xA1, 0x2FF),
    (0x400, 0x4FF),
    (0x600, 0x6FF),
    (0x4E00, 0x9FFF),
    (0x1F300, 0x1F5FF),
)
_NAMES: Final = (
    "power_kw",
    "mode",
    "a b",
    "oil.temperature_c",
    "",
    "x" * 80,
    "übung",
    "../../etc",
    "$SYS",
    "1e5",
)
_VALUES: Final = (
    *(
        1.5,
        -0.0,
        1e300,
        1e-320,
        10**400,
        2**63,
        -(2**64),
        True,
        None,
        "",
        "NaN",
        "idle",
        "a\u0000b",
        "\u202eabc",
    ),
    *([], [1, [2]], {}, {"deep": {"deeper": 1}}, {"value": 3}, "x" * 5000, "'; DROP TABLE sample; --"),
)
_TIMES: Final = (
    *("", "NaN", "yesterday", "1970-01-01T00:00:00Z", "2262-04-11T23:47:16Z", "9999-12-31T23:59:59-23:59"),
    *("2026-02-30T00:00:00Z", "2026-01-31 16:10", "0001-01-01T00:00:00+23:59", "infinity", "-infinity"),
    *(0, 1, -1, 12, 2**31 - 1, 2**63, 10**400, 1e308, -1e308, True, [], {}, 9.3e18, -62135596801),
)


@dataclass(frozen=True, slots=True)
class Bad:
    """`value` is set for a mutated one; `key` for one that must be refused whole."""

    machine: str
    topic: str
    payload: bytes
    ts_ms: int | None = None
    value: int | None = None
    key: str | None = None


def key_of(topic: str, size: int) -> str:
    """Return what a message that is refused whole and its record have in common."""
    return f"{topic.encode('unicode_escape').decode()} {size}"


def number_in(head: str) -> int | None:
    """Return a mutated message's own number from the head that a refusal keeps."""
    found = _NUMBER.search(head)
    return int(found[1]) if found else None


class Generator:
    """The same seed, the same messages, but for their times."""

    def __init__(self, seed: int) -> None:
        self._begin_ms = int(time.time() * 1000)
        self._chance = random.Random(seed)  # noqa: S311  not for secrets
        self._kinds: tuple[tuple[Callable[[int], Bad], int], ...] = (
            (self._mutated, 50),
            (self._garbage, 20),
            (self._bad_topic, 20),
            (self._bad_time, 9),
            (self._huge, 1),
        )

    def make(self, number: int) -> Bad:
        makers, weights = zip(*self._kinds, strict=True)
        maker: Callable[[int], Bad] = self._chance.choices(makers, weights)[0]
        return maker(number)

    def _mutated(self, number: int) -> Bad:
        ts_ms = self._begin_ms - 1000 * number
        fields = {self._pick(_NAMES): self._pick(_VALUES) for _ in range(self._chance.randint(0, 6))}
        tail = bytearray(json.dumps(fields, ensure_ascii=self._chance.random() < 0.5)[1:].encode())
        for _ in range(self._pick((0, 0, 1, 3, 20))):
            place = self._chance.randrange(len(tail) + 1)
            change = self._chance.randrange(3)
            if change == 0:
                tail[place:place] = self._chance.randbytes(self._chance.randint(1, 8))
            elif change == 1:
                del tail[place : place + self._chance.randint(1, 8)]
            elif tail:
                tail[min(place, len(tail) - 1)] ^= 1 << self._chance.randrange(8)
        comma = b", " if fields else b""
        payload = f'{{"ts": {ts_ms}, "{METRIC}": {number}, "more_count": 0'.encode() + comma + bytes(tail)
        machine = self._machine()
        return Bad(machine, f"telemetry/{machine}", payload, ts_ms=ts_ms, value=number)

    def _garbage(self, _: int) -> Bad:
        body = self._pick(
            (
                b"",
                b"\xff" + self._chance.randbytes(self._chance.randint(1, 2000)),
                b"x" + self._chance.randbytes(self._chance.randint(1, 50)),
                b"[" * self._chance.randint(2, 3000),
                b'{"a":' * self._chance.randint(2, 3000),
                b"[]",
                b"{}",
                b'"text"',
                b"NaN",
                b"-Infinity",
                b'{"power_kw": NaN}',
                b'{"mode": "\\ud800"}',
            )
        )
        return self._whole(f"telemetry/{self._machine()}", body)

    def _bad_topic(self, number: int) -> Bad:
        name = "".join(
            chr(self._chance.randint(*self._pick(_PLANES))) for _ in range(self._chance.randint(0, 70))
        )
        name = "".join(one for one in name if one.isprintable() and one not in "/+#")
        if _MACHINE.fullmatch(name):
            name = f".{name}"
        return self._whole(f"telemetry/{name}", f'{{"{METRIC}": {number}}}'.encode())

    def _bad_time(self, _: int) -> Bad:
        name = self._pick(("ts", "timestamp", "time"))
        body = json.dumps({name: self._pick(_TIMES), "power_kw": 1})
        return self._whole(f"telemetry/{self._machine()}", body.encode())

    def _huge(self, _: int) -> Bad:
        size = self._chance.randint(257 * 1024, 400 * 1024)
        return self._whole(f"telemetry/{self._machine()}", b'{"power_kw": 1' + b" " * size + b"}")

    def _whole(self, topic: str, payload: bytes) -> Bad:
        return Bad(topic.split("/")[1], topic, payload, key=key_of(topic, len(payload)))

    def _machine(self) -> str:
        return f"fuzz-{self._chance.randrange(MACHINES)}"

    def _pick(self, some: tuple) -> object:  # type: ignore[type-arg]
        return self._chance.choice(some)


class Poisoner(Sender):
    """Sends so many bad messages, as one that knows what must become of them."""

    def __init__(self, site: Site, most: int, rate: float, seed: int = 11) -> None:
        super().__init__(site, "fuzz", rate=rate, machines=MACHINES)
        self._most = most
        self._generator = Generator(seed)

    @property
    def done(self) -> bool:
        return self.sent >= self._most

    def _due(self, elapsed_s: float) -> int:
        return min(super()._due(elapsed_s), self._most - self.sent)

    def _make(self) -> int:
        self.sent += 1
        bad = self._generator.make(self.sent)
        self._kept[self.sent] = (f"enms/{bad.topic}", bad.payload)
        self._note_sent(self.sent, bad.machine, bad.value, bad.ts_ms, bad.key)
        return self.sent
