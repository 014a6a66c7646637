"""How long readings are kept, and the tables of the weeks to come."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.store.database import Database
from gateway.store.queries import query
from gateway.store.rows import Keeping

WEEKLY: Final = ("sample", "rollup_1m")
"""The tables that are kept by week."""


class Upkeep(Database):
    """Makes tables before they are needed, and drops what need not be kept."""

    def __init__(self, url: str, *, keeping: Keeping | None = None, **options: Any) -> None:
        super().__init__(url, **options)
        self.keeping = keeping or Keeping()

    async def make_partitions(self, now: datetime, weeks: int = 2) -> None:
        """Make the partitions of this week and of some to come, before the first reading needs them."""
        today = now.astimezone(UTC).date()
        monday = today - timedelta(days=today.weekday())
        for table in WEEKLY:
            for number in range(weeks + 1):
                await self._run("make_partition", parent=table, week=monday + timedelta(weeks=number))

    async def apply_keeping(self, now: datetime) -> list[str]:
        """Drop whole weeks of what is older than is kept; returns the tables or chunks that went.

        To be called from time to time. A week somebody reads just now goes the next time. A database that
        keeps policies of its own is given them here, and carries them out itself.
        """
        days = {"sample": self.keeping.samples_days, "rollup_1m": self.keeping.minutes_days}
        dropped: list[str] = []
        for table in WEEKLY:
            values = {
                "parent": table,
                "now": now,
                "keep_days": days[table],
                "compress_after_days": self.keeping.compress_after_days,
            }
            async with self.transaction() as cursor:
                await cursor.execute(query("keep_weeks"), values)
                dropped += [row[0] for row in await cursor.fetchall()]
        return dropped
