"""Keeps the rollups up with the readings, for as long as the gateway runs."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from gateway.store import BadValueError, RolledUp, RollerBusyError, Store, StoreUnavailableError

PERIOD_S: Final = 10.0
SLICES: Final = 5
log = structlog.get_logger()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Roller:
    """Rolls up what has passed and what came late, a bounded round at a time."""

    def __init__(
        self, store: Store, *, period_s: float = PERIOD_S, now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._store = store
        self._period_s = period_s
        self._now = now
        self.last = RolledUp()
        """What the last round did."""
        self.trouble = ""
        """Why the last round could not be done, empty where it was."""

    async def run(self) -> None:
        """Roll up for ever, again at once while work is left. Whoever cancels it loses nothing."""
        while True:
            await self.round()
            # Even in a hurry the database has other things to do in between.
            await asyncio.sleep(0.01 if self.last.more and not self.trouble else self._period_s)

    async def round(self) -> None:
        """Do one round. What stands in its way is told once and tried again in the next."""
        try:
            self.last = await self._store.roll_up(self._now(), most_slices=SLICES)
            trouble = ""
        except RollerBusyError:
            trouble = ""  # another process does it
            self.last = RolledUp()
        except (StoreUnavailableError, BadValueError) as error:
            trouble = str(error)
        if trouble and not self.trouble:
            log.warning("readings are not rolled up now; history is read from them itself", why=trouble)
        elif self.trouble and not trouble:
            log.info("readings are rolled up again")
        self.trouble = trouble
