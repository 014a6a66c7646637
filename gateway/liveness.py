"""Whether a machine's data still arrives, judged by the period it has shown itself."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from broker.messages import Health, HealthState

GRACE: Final = timedelta(seconds=2)
UNKNOWN_PERIOD: Final = timedelta(minutes=5)
OFFLINE_PERIODS: Final = 20
OFFLINE_AT_LEAST: Final = timedelta(minutes=2)
TELL_AGAIN: Final = timedelta(seconds=10)
_SMOOTHING: Final = 0.2
_BURST_S: Final = 0.01  # messages closer than this are one sending, split over topics


@dataclass(slots=True)
class Arrivals:
    """How the messages of one machine have arrived. Times are aware, UTC."""

    last_seen: datetime
    period_s: float | None = None
    skew_s: float = 0.0
    rejected: int = 0
    said_offline: bool = False
    refused_at: datetime | None = None
    counted: int = 0

    def took(self, arrived: datetime, newest: datetime, refusals: int) -> None:
        """Note a message that held something; `newest` is the device's own time."""
        gap_s = (arrived - self.last_seen).total_seconds()
        if self.counted and gap_s > _BURST_S:
            old = self.period_s
            # One long pause is not a new habit: it counts as ten periods at most.
            self.period_s = gap_s if old is None else old + _SMOOTHING * (min(gap_s, 10 * old) - old)
        self.counted += 1
        self.last_seen = max(arrived, self.last_seen)
        self.skew_s = round((newest - arrived).total_seconds(), 3)
        self.rejected += refusals
        self.refused_at = None
        self.said_offline = False

    def refused(self, arrived: datetime, refusals: int) -> None:
        """Note a message of which nothing could be taken."""
        self.rejected += refusals
        self.refused_at = arrived
        self.said_offline = False

    def health(self, machine: str, now: datetime) -> Health:
        """Return the machine's health: stale after two periods and 2 s, offline after twenty or its will."""
        # Who sends what cannot be taken is there all the same.
        silent = now - max(self.last_seen, self.refused_at or self.last_seen)
        period = UNKNOWN_PERIOD if self.period_s is None else timedelta(seconds=self.period_s)
        if self.said_offline or silent > max(OFFLINE_AT_LEAST, OFFLINE_PERIODS * period):
            state: HealthState = "offline"
        elif silent > 2 * period + GRACE:
            state = "stale"
        elif self.refused_at is not None:
            state = "bad_data"
        else:
            state = "ok"
        return Health(
            machine=machine,
            state=state,
            last_seen=self.last_seen,
            rejected=self.rejected,
            clock_skew_s=self.skew_s,
            period_s=None if self.period_s is None else round(self.period_s, 3),
        )

    @staticmethod
    def worth_telling(told: Health | None, now: Health) -> bool:
        """Whether health changed so that somebody should hear of it now; figures alone every 10 s."""
        if told is None or told.state != now.state or told.rejected != now.rejected:
            return True
        return now.last_seen - told.last_seen >= TELL_AGAIN
