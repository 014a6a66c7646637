"""Anomalies and refusals, as they were told on the bus."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from broker.messages import Anomaly, Rejected, encode
from gateway.store.database import Database
from gateway.store.queries import query
from gateway.store.rows import RejectedRow

MOST_REJECTED: Final = 1_000_000
_PHASES: Final = ("opened", "updated", "closed")


@dataclass(frozen=True, slots=True)
class _Body:
    body: str


class Incidents(Database):
    """Reads and writes anomalies; reads refusals, and forgets old ones."""

    async def add_anomaly(self, event: Anomaly) -> bool:
        """Keep an event of an episode; whether it is new. The latest of an episode is what it is shown as."""
        values = {
            "anomaly_id": event.anomaly_id,
            "phase": event.phase,
            "phase_rank": _PHASES.index(event.phase),
            "ts": event.ts,
            "machine": event.machine,
            "started_at": event.started_at,
            "body": encode(event).decode(),
        }
        async with self.transaction() as cursor:
            await cursor.execute(query("add_anomaly_event"), values)
            new = cursor.rowcount == 1
            await cursor.execute(query("save_episode"), values)
        return new

    async def anomalies(
        self,
        machine: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 1000,
    ) -> list[Anomaly]:
        """Return the episodes that touch [start, end), the latest first, each as the latest of its events."""
        values = {"machine": machine, "start": start, "end": end, "limit": limit}
        return [_anomaly(one) for one in await self._all(_Body, "episodes", **values)]

    async def anomaly_events(self, anomaly_id: str) -> list[Anomaly]:
        """Return the events of one episode in order."""
        return [_anomaly(one) for one in await self._all(_Body, "episode_events", anomaly_id=anomaly_id)]

    async def rejected(
        self,
        source: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
    ) -> list[RejectedRow]:
        """Return what was refused in [start, end), the latest first; of all sources where none is named."""
        values = {"source": source, "start": start, "end": end, "limit": limit}
        return await self._all(_rejected, "rejected", **values)

    async def drop_rejected(self, before: datetime, most: int = MOST_REJECTED) -> int:
        """Forget refusals from before a time, and all but the latest `most`; returns how many."""
        return await self._run("drop_old_rejected", before=before, most=most)


def _anomaly(row: _Body) -> Anomaly:
    return msgspec.json.decode(row.body, type=Anomaly)


def _rejected(*, source: str, **columns: Any) -> RejectedRow:
    return RejectedRow(source, Rejected(**columns))
