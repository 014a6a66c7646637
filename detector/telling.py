"""What the detector tells: events into the outbox, what is expected of machines in turn, how it keeps up."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from broker.bus import Bus
from broker.channels import ANOMALY, EXPECTED, SYSTEM_SCORING
from broker.messages import ModelRef, Scoring, encode
from broker.outbox import Outbox
from broker.topics import AnomalyTopic, ExpectedTopic, SystemScoringTopic
from detector import events
from detector.hops import Hops
from detector.live import Live, MachineLive
from detector.lot import News
from detector.models import Explanation
from detector.store import ModelStore
from detector.training import MODEL

EXPECTED_EVERY_S: Final = 1.0
BUDGET_S: Final = 0.01
"""What is expected is told of as many machines as fit in this, ten times a second: a tenth of a core."""
EXPECTED_AT_ONCE: Final = 100

log = structlog.get_logger()


class Telling:
    """Publishes for the service. `counts` are of its life."""

    def __init__(self, bus: Bus, outbox: Outbox, live: Live, store: ModelStore) -> None:
        self._bus = bus
        self._outbox = outbox
        self._live = live
        self._store = store
        self._turn: deque[str] = deque()
        self.hops = Hops()
        self.rows = 0
        self.opened = 0
        self.refits = 0

    async def tell(self, news: Sequence[tuple[MachineLive, News]]) -> None:
        """Put events into the outbox, then note which episodes are open; both are there when this returns."""
        messages: list[tuple[Any, Any, bytes]] = []
        for live, one in news:
            if not one.explanation.views:
                continue
            for told in one.told:
                event = events.anomaly(told, one.explanation, self._situation(live, one))
                one.served.told_type = event.anomaly_type
                messages.append((ANOMALY, AnomalyTopic(live.machine), encode(event)))
                self.opened += told.phase == "opened"
                log.info("anomaly", phase=told.phase, machine=live.machine, id=event.anomaly_id)
        if not news:
            return
        await self._outbox.put_all(messages)
        await asyncio.to_thread(self._keep_episodes, news)

    def _keep_episodes(self, news: Sequence[tuple[MachineLive, News]]) -> None:
        for live, one in news:
            last = one.told[-1]
            over = last.phase == "closed" and not last.episode.left
            kept = None if over else last.episode
            self._store.keep_episode(live.machine, kept, last.ts_s)

    def expect(self, now_s: float) -> None:
        """Tell what is expected of the machines whose turn it is, each at most once a second."""
        live = self._live.machines
        if not self._turn:
            self._turn.extend(name for name, one in live.items() if one.served)
        until = time.perf_counter() + BUDGET_S
        for _ in range(min(EXPECTED_AT_ONCE, len(self._turn))):
            one = live[self._turn.popleft()]
            if one.ts_s > one.told_ts_s and now_s - one.told_s >= EXPECTED_EVERY_S:
                one.told_s, one.told_ts_s = now_s, one.ts_s
                self._expect(one)
                if time.perf_counter() > until:
                    return

    def keep_scoring(self, now: datetime, *, oldest_ms: float, waiting: int) -> None:
        """Tell how the detector keeps up."""
        said = Scoring(
            ts=now,
            machines=len(self._live.fleet),
            rows=self.rows,
            unscored=sum(one.not_scored for one in self._live.machines.values()),
            opened=self.opened,
            refits=self.refits,
            refits_waiting=waiting,
            oldest_ms=oldest_ms,
            hops=dict(self.hops.percentiles(now.timestamp())),
        )
        self._bus.keep(SYSTEM_SCORING, SystemScoringTopic(), said)

    def _situation(self, live: MachineLive, news: News) -> events.Situation:
        return events.Situation(
            machine=live.machine,
            machine_name=live.name,
            state=self._live.fleet.state(live.machine, live.said, news.explanation),
            score=news.score,
            model=ModelRef(name=MODEL, version=news.served.named_version),
            now=datetime.now(UTC),
            known_type=news.served.told_type,
        )

    def _expect(self, live: MachineLive) -> None:
        fleet = self._live.fleet
        score, held = fleet.last(live.machine)
        # Nothing is expected of a machine that changes over, and nothing is strange.
        seen = Explanation(()) if held else fleet.explain(live.machine)
        if not held and (math.isnan(score) or not seen.views):
            return
        state = fleet.state(live.machine, live.said, seen)
        told = events.expected(live.machine, live.ts_s, seen, state=state, score=0.0 if held else score)
        self._bus.keep(EXPECTED, ExpectedTopic(live.machine), told)
