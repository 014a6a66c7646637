"""Knows a numbered message again where its content cannot tell: it has no time, and its source sent it again.

A message with a time of its own is the same reading when it comes again. One without would get another time
of arrival; its number within (client, boot) tells that it is stored.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from broker.telemetry import Number
from gateway.marks import Stretch, stretches
from gateway.store import NumberedBatch, SourceMark

REMEMBERED: Final = 50_000
"""Numbers remembered beside those the database had at the start; a source sends again within seconds."""

_Key = tuple[str, str, str, int]


class NumbersStored:
    """Numbers of untimed messages that are stored.

    What comes from this process counts for the machine it came from only: nobody can make another machine's
    messages look stored by taking its numbers.
    """

    def __init__(self) -> None:
        self._at_start: dict[tuple[str, str], list[Stretch]] = {}
        self._recent: OrderedDict[_Key, None] = OrderedDict()

    def restore(self, marks: Sequence[SourceMark], since: Sequence[NumberedBatch]) -> None:
        """Take over what the database knew at the start: the marks, and what is not in them yet."""
        seqs: dict[tuple[str, str], list[Stretch]] = {
            (one.client, one.boot): [(0, one.seq), *one.above] for one in marks
        }
        for batch in since:
            seqs.setdefault((batch.client, batch.boot), []).extend(stretches(batch.seqs))
        self._at_start = {who: sorted(some) for who, some in seqs.items()}

    def has(self, machine: str, number: Number) -> bool:
        """Whether the message of that number was stored."""
        if (machine, number.client, number.boot, number.seq) in self._recent:
            return True
        some = self._at_start.get((number.client, number.boot), [])
        # Stretches of several batches may overlap, so not only the last that begins before counts.
        return any(high >= number.seq for _, high in some[: bisect_right(some, (number.seq, 1 << 63))])

    def note(self, machine: str, numbers: Iterable[Number]) -> None:
        """Remember numbers of untimed messages that were stored."""
        for number in numbers:
            self._recent[machine, number.client, number.boot, number.seq] = None
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
