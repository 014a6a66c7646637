"""The widths readings are rolled up to."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_MONDAY: Final = datetime(2000, 1, 3, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Level:
    """Buckets of `minutes`, in UTC from midnight on, kept in `table`; `done` names how far it has come."""

    minutes: int
    table: str
    done: str

    @property
    def width(self) -> timedelta:
        """How long a bucket is."""
        return timedelta(minutes=self.minutes)

    def floor(self, time: datetime) -> datetime:
        """Return where the bucket begins that has `time` in it."""
        return time - (time - _MONDAY) % self.width

    def ceil(self, time: datetime) -> datetime:
        """Return where the first bucket begins that is not before `time`."""
        return time + (_MONDAY - time) % self.width


LEVELS: Final = (
    Level(1, "rollup_1m", "done_1m"),
    Level(15, "rollup_15m", "done_15m"),
    Level(60, "rollup_1h", "done_1h"),
    Level(1440, "rollup_1d", "done_1d"),
)
"""From the finest to the coarsest; each divides the next."""
