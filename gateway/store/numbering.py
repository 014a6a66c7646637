"""What marks messages as stored: numbers of their sources, and what the broker may deliver twice."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Final

from broker.telemetry import Number
from gateway.store.database import Cursor, Database, fetch
from gateway.store.queries import query
from gateway.store.rows import NumberedBatch, Redelivery, SourceMark

REMEMBERED_MESSAGES: Final = 20_000

Merge = Callable[[Sequence[SourceMark], Sequence[NumberedBatch]], Sequence[SourceMark]]
"""Given the marks of the clients concerned and what was stored since: their marks now."""


class Numbering(Database):
    """Reads and merges the numbers of stored messages; reads what makes a delivery known again."""

    async def take_numbers(self, merge: Merge) -> list[SourceMark]:
        """Take the numbers noted since the last time into the sources' marks; returns what `merge` made.

        One at a time; where `merge` raises, all is as before.
        """
        async with self.transaction() as cursor:
            await cursor.execute(query("source_lock"))
            taken = await fetch(cursor, _batch, "take_numbers")
            if not taken:
                return []
            clients = sorted({one.client for one in taken})
            before = await fetch(cursor, _mark, "sources", clients=clients)
            after = list(merge(before, taken))
            await cursor.executemany(query("save_source"), [_columns(mark) for mark in after])
        return after

    async def sources(self, clients: Sequence[str] | None = None) -> list[SourceMark]:
        """Return the marks of these clients, or of all, by client; of a client the latest last."""
        return await self._all(_mark, "sources", clients=None if clients is None else list(clients))

    async def numbers_stored(self) -> tuple[list[SourceMark], list[NumberedBatch]]:
        """Return all marks, and what was stored and not yet taken into them, as of one moment."""
        async with self.transaction() as cursor:
            await cursor.execute(query("source_lock"))
            marks = await fetch(cursor, _mark, "sources", clients=None)
            return marks, await fetch(cursor, _batch, "numbers_to_take")

    async def drop_old_sources(self, before: datetime) -> int:
        """Forget boots not heard of since `before`, but for the latest of each client; returns how many."""
        return await self._run("drop_old_sources", before=before)

    async def redeliveries(self, session: str) -> dict[int, int]:
        """Return the hash by packet id of the untimed among a session's last messages."""
        found = await self._all(_redelivery, "redeliveries", session=session)
        return {mid: content for batch in found for mid, content in batch}

    async def forget_redeliveries(self, session: str) -> None:
        """Forget a session's packet ids: the broker began a new session and counts anew."""
        await self._run("forget_redeliveries", session=session)


async def add_numbers(cursor: Cursor, numbers: Sequence[Number]) -> None:
    """Note the numbers of a batch."""
    if not numbers:
        return
    seqs: dict[tuple[str, str], list[int]] = defaultdict(list)
    for one in numbers:
        seqs[one.client, one.boot].append(one.seq)
    ends = list(accumulate(map(len, seqs.values())))
    values = {
        "clients": [client for client, _ in seqs],
        "boots": [boot for _, boot in seqs],
        "firsts": [1, *(end + 1 for end in ends[:-1])],
        "lasts": ends,
        "seqs": [seq for some in seqs.values() for seq in some],
    }
    await cursor.execute(query("add_numbers"), values)


async def add_redelivery(cursor: Cursor, what: Redelivery | None) -> None:
    """Note what makes the messages of a batch known again, and forget what is REMEMBERED_MESSAGES behind."""
    if what is None:
        return
    values = {
        "session": what.session,
        "messages": what.messages,
        "mids": list(what.mids),
        "hashes": list(what.hashes),
        "most": REMEMBERED_MESSAGES,
    }
    await cursor.execute(query("add_redelivery"), values)


def _batch(*, client: str, boot: str, seqs: list[int]) -> NumberedBatch:
    return NumberedBatch(client, boot, tuple(seqs))


def _mark(*, client: str, boot: str, seq: int, above: list[int], ts: datetime) -> SourceMark:
    return SourceMark(client, boot, seq, tuple(zip(above[::2], above[1::2], strict=True)), ts)


def _columns(mark: SourceMark) -> dict[str, object]:
    above = [number for stretch in mark.above for number in stretch]
    return {"client": mark.client, "boot": mark.boot, "seq": mark.seq, "above": above, "ts": mark.ts}


def _redelivery(*, mids: list[int], hashes: list[int]) -> list[tuple[int, int]]:
    return list(zip(mids, hashes, strict=True))
