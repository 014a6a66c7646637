"""Which numbers of a source are in the database: everything up to a mark, and stretches beyond holes. Pure.

Numbers begin at 1 within a boot. A mark n says that every message from 1 to n is in the database, so a boot
whose first message to arrive is not number 1 has a hole before it, and its mark stays 0 until the source
either sends what is missing or says in its status (`first`) that it has nothing below some number: only the
source can know that. Number 0 is taken and nothing waits for it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from gateway.store import SourceMark

Stretch = tuple[int, int]
"""First and last number of what is there, or missing, without a break."""

MOST_STRETCHES: Final = 1000


def advance(mark: SourceMark, seqs: Iterable[int], first: int, ts: datetime) -> SourceMark:
    """Return the mark after the messages `seqs` were committed too, in any order and any number of times.

    `first` is the lowest number the source can still send (1 where it did not say). Where there are more
    than MOST_STRETCHES stretches the highest are forgotten: too little is claimed then, never too much.
    """
    seq = max(mark.seq, first - 1)
    above: list[Stretch] = []
    for low, high in sorted([*mark.above, *stretches(seqs)]):
        if low <= seq + 1:
            seq = max(seq, high)
        elif above and low <= above[-1][1] + 1:
            above[-1] = (above[-1][0], max(above[-1][1], high))
        else:
            above.append((low, high))
    return replace(mark, seq=seq, above=tuple(above[:MOST_STRETCHES]), ts=ts)


def stretches(seqs: Iterable[int]) -> list[Stretch]:
    """Return numbers as stretches, in order."""
    found: list[Stretch] = []
    for seq in sorted(seqs):
        if found and seq <= found[-1][1] + 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found


def holes(mark: SourceMark) -> list[Stretch]:
    """Return what is missing between the mark and the highest number that is there, in order."""
    found: list[Stretch] = []
    seq = mark.seq
    for low, high in mark.above:
        found.append((seq + 1, low - 1))
        seq = high
    return found


def overlap(some: Sequence[Stretch], others: Sequence[Stretch]) -> Iterator[tuple[int, Stretch]]:
    """Yield what is in both, in order, each part with the place in `some` of the stretch it is of."""
    place = at = 0
    while place < len(some) and at < len(others):
        low, high = max(some[place][0], others[at][0]), min(some[place][1], others[at][1])
        if low <= high:
            yield place, (low, high)
        if some[place][1] < others[at][1]:
            place += 1
        else:
            at += 1


def count(some: Iterable[Stretch]) -> int:
    """Return how many numbers there are in stretches."""
    return sum(high - low + 1 for low, high in some)
