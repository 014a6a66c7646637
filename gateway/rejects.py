"""What was refused: counted for ever, told on the bus at most once a second a source and reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from broker.messages import Rejected
from broker.telemetry import Refusal

HEAD_BYTES: Final = 1024
MOST_AT_ONCE: Final = 500
MOST_OF_A_MESSAGE: Final = 20
UNKNOWN: Final = "unknown"


def describe(refusals: Sequence[Refusal], topic: str, payload: bytes, now: datetime) -> list[Rejected]:
    """Return what is kept of a message's refusals: at most 20 records, whose counts add up to them all.

    Those of one reason and field are one record. The payload's first 1 KiB is escaped: always plain text.
    """
    first: dict[tuple[str, str | None], Refusal] = {}
    counts: Counter[tuple[str, str | None]] = Counter()
    for refusal in refusals:
        key = (refusal.reason, refusal.field)
        # Or a message of 256 KiB, each field of it wrong, would become megabytes of refusals.
        if key not in first and len(first) >= MOST_OF_A_MESSAGE:
            key = next((known for known in first if known[0] == refusal.reason), next(iter(first)))
        first.setdefault(key, refusal)
        counts[key] += 1
    return [_record(one, counts[key], topic, payload, now) for key, one in first.items()]


def _record(refusal: Refusal, count: int, topic: str, payload: bytes, now: datetime) -> Rejected:
    return Rejected(
        reason=refusal.reason,
        text=refusal.text,
        topic=_escaped(topic.encode(errors="replace")),
        head=_escaped(payload),
        size_bytes=len(payload),
        ts=now,
        count=count,
        field=refusal.field,
    )


def _escaped(raw: bytes) -> str:
    return raw[:HEAD_BYTES].decode(errors="backslashreplace").encode("unicode_escape").decode("ascii")


@dataclass(frozen=True, slots=True)
class Told:
    """A refusal to be published on `rejected/<source>`."""

    source: str
    message: Rejected


class Rejects:
    """Collects refusals between two rounds of telling; of each source and reason the first is told."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._first: dict[tuple[str, str], Rejected] = {}
        self._count: Counter[tuple[str, str]] = Counter()

    def note(self, source: str, record: Rejected) -> None:
        """Count a record's refusals; `source` is the machine, or empty where the topic named none."""
        self.total[record.reason] += record.count
        key = (source or UNKNOWN, record.reason)
        self._count[key] += record.count
        if len(self._first) < MOST_AT_ONCE:
            self._first.setdefault(key, record)

    def news(self) -> list[Told]:
        """Return what to tell now, each with how many there were since the last round."""
        told = [Told(key[0], replace(one, count=self._count[key])) for key, one in self._first.items()]
        self._first.clear()
        self._count.clear()
        return told
