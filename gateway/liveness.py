"""Whether a machine's data still arrives, judged by the period it has shown itself."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from broker.messages import Health, HealthState
from gateway.rhythm import BURST_S, Rhythm

GRACE_S: Final = 2.0
UNKNOWN_PERIOD_S: Final = 300.0
STALE_PERIODS: Final = 2
OFFLINE_PERIODS: Final = 20
OFFLINE_AT_LEAST_S: Final = 120.0
TELL_AGAIN: Final = timedelta(seconds=10)
_SMOOTHING: Final = 0.2


@dataclass(slots=True)
class Arrivals:
    """How the messages of one machine have arrived. Times are aware, UTC."""

    last_seen: datetime
    period_s: float | None = None
    skew_s: float = 0.0
    rejected: int = 0
    said_offline: bool = False
    refused_s: float | None = None  # epoch; None again when something could be taken
    counted: int = 0
    rhythm: Rhythm = field(default_factory=Rhythm)
    _seen_s: float = 0.0
    _was_off: bool = False

    def __post_init__(self) -> None:
        self._seen_s = self.last_seen.timestamp()

    def took(
        self, arrived: datetime, newest: datetime, refusals: int, *, timed: bool = True, rhythmic: bool = True
    ) -> None:
        """Note a message that held something; `newest` is the device's own time where it was `timed`.

        A message of several times, or one of many that may be lost on the way here, is not `rhythmic`.
        """
        arrived_s = arrived.timestamp()
        newest_s = arrived_s if newest is arrived else newest.timestamp()
        gap_s = arrived_s - self._seen_s
        if gap_s > BURST_S and self.counted:
            old = self.period_s
            # One long pause is not a new habit: it counts as ten periods at most.
            self.period_s = gap_s if old is None else old + _SMOOTHING * (min(gap_s, 10 * old) - old)
        self.counted += 1
        if gap_s > 0:
            self.last_seen, self._seen_s = arrived, arrived_s
        self.skew_s = newest_s - arrived_s
        self.rejected += refusals
        self.refused_s = None
        if rhythmic and not self._was_off:
            self.rhythm.heard(newest_s, arrived_s, timed=timed)
        else:
            self.rhythm.skip(newest_s, timed=timed)
        self.said_offline = self._was_off = False

    def refused(self, arrived: datetime, refusals: int) -> None:
        """Note a message of which nothing could be taken."""
        self.rejected += refusals
        self.refused_s = arrived.timestamp()
        self.said_offline = False

    def said(self, *, online: bool) -> None:
        """Note what the machine's own status says; what it did not send while it was off is not missed."""
        self.said_offline = not online
        self._was_off = self._was_off or not online

    def state(self, now_s: float) -> HealthState:
        """Return the state at `now_s` (epoch): stale after two periods and 2 s, offline after twenty.

        Offline takes two minutes at least, or the machine's word.
        """
        # Who sends what cannot be taken is there all the same.
        refused_s = self.refused_s
        silent_s = now_s - (self._seen_s if refused_s is None else max(self._seen_s, refused_s))
        period_s = UNKNOWN_PERIOD_S if self.period_s is None else self.period_s
        if self.said_offline or silent_s > max(OFFLINE_AT_LEAST_S, OFFLINE_PERIODS * period_s):
            return "offline"
        if silent_s > STALE_PERIODS * period_s + GRACE_S:
            return "stale"
        return "ok" if refused_s is None else "bad_data"

    def health(self, machine: str, now: datetime) -> Health:
        """Return the machine's health."""
        return Health(
            machine=machine,
            state=self.state(now.timestamp()),
            last_seen=self.last_seen,
            rejected=self.rejected,
            clock_skew_s=round(self.skew_s, 3),
            period_s=None if self.period_s is None else round(self.period_s, 3),
            missed=self.rhythm.missed,
        )

    def is_news(self, told: Health, now_s: float) -> bool:
        """Whether something changed that cannot wait: the state, or what was refused or missed."""
        return (
            told.state != self.state(now_s)
            or told.rejected != self.rejected
            or told.missed != self.rhythm.missed
        )

    def is_old_news(self, told: Health) -> bool:
        """Whether figures alone changed, and were told 10 s ago or more."""
        return self.last_seen - told.last_seen >= TELL_AGAIN
