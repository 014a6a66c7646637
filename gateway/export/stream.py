"""An export as it goes out: chunk after chunk from the database, encoded beside the event loop."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeVar

from gateway.export.asked import ExportQuery, UnknownExportError, Width
from gateway.export.block import RAW, ROLLED, Block, Label
from gateway.store import Store
from gateway.store.streaming import Chunk, StoredSeries

if TYPE_CHECKING:
    from gateway.export.encoders import Encoder

BLOCK_LINES: Final = 50_000
PIECE_BYTES: Final = 64 * 1024
"""Small, so that a reader however slow takes one before it is held for dead."""

Item = TypeVar("Item")


async def choose(store: Store, asked: ExportQuery) -> list[StoredSeries]:
    """Return what is to be exported. Raises UnknownExportError, StoreUnavailableError."""
    series = await store.export_series(asked.machines, asked.metrics)
    missing = await store.unknown_machines(asked.machines) if asked.machines else []
    if missing:
        raise UnknownExportError(f"there is no machine {missing[0]!a}; GET machines lists them")
    unknown = sorted(set(asked.metrics) - {one.metric for one in series})
    if unknown:
        raise UnknownExportError(f"no machine that was asked for has a metric {unknown[0]!a}")
    return series


async def stream(store: Store, asked: ExportQuery, series: list[StoredSeries]) -> AsyncGenerator[bytes]:
    """Give the file piece by piece, holding no more than some blocks.

    Raises StoreUnavailableError in the middle when the database goes away: then the file is not whole.
    """
    encoder = await asyncio.to_thread(_encoder, asked)
    async for block in one_ahead(blocks(store, asked, series)):
        for piece in pieces(await asyncio.to_thread(encoder.add, block)):
            yield piece
    for piece in pieces(await asyncio.to_thread(encoder.end)):
        yield piece


def _encoder(asked: ExportQuery) -> "Encoder":
    from gateway.export.encoders import encoder  # noqa: PLC0415  Arrow is loaded by who exports, not before

    return encoder(asked.form, RAW if asked.width is Width.RAW else ROLLED)


async def blocks(store: Store, asked: ExportQuery, series: list[StoredSeries]) -> AsyncIterator[Block]:
    """Give readings by machine, time and metric; buckets by machine, metric and time."""
    by_machine = [list(group) for _, group in groupby(series, key=lambda one: one.machine_id)]
    groups = by_machine if asked.width is Width.RAW else [[one] for one in series]
    for group in groups:
        labels = tuple(Label(one.machine, one.metric, one.unit) for one in group)
        rows = max(1, BLOCK_LINES // len(group))
        chunk = await _chunk(store, asked, group, asked.start, rows)
        while True:
            if len(chunk.place):
                yield Block(labels, chunk.place, chunk.columns)
            if chunk.following is None:
                break
            chunk = await _chunk(store, asked, group, chunk.following, rows)


async def _chunk(
    store: Store, asked: ExportQuery, group: list[StoredSeries], start: datetime, rows: int
) -> Chunk:
    one = group[0]
    if asked.width is Width.RAW:
        return await store.raw_chunk(one.machine_id, [one.slot for one in group], start, asked.end, rows)
    return await store.rolled_chunk(asked.width, one.series_id, start, asked.end, rows)


async def one_ahead(source: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """Give what `source` gives, asking it for the next while the last is being used."""

    async def following() -> Item | None:
        return await anext(source, None)

    task = asyncio.create_task(following())
    try:
        while (item := await task) is not None:
            task = asyncio.create_task(following())
            yield item
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut bytes into pieces that go out one by one."""
    return (data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))
