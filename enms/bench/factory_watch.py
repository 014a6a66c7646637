"""The detector over a plant's days: trained on the first, then row by row as the service does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from broker.messages import Anomaly, ModelRef
from detector.events import Situation, anomaly
from detector.fleet import Fleet, Start
from detector.lot import News
from detector.training import fit
from detector.tuning import Tuning
from enms.bench.factory_days import MODE, Days


@dataclass(frozen=True, slots=True)
class Found:
    """An episode as it was told: when it began, was opened and closed (epoch s), what it was said to be."""

    machine: str
    started_s: float
    opened_s: float
    closed_s: float
    anomaly_type: str
    severity: str
    state: str
    contributors: tuple[str, ...]


class Watch:
    """A fleet that learns from each machine's past, then takes one row of every machine a tick."""

    def __init__(self, past: Mapping[str, Days], tuning: Tuning) -> None:
        """Train every machine. Raises TooFewRowsError."""
        self._fleet = Fleet(tuning, refit_at_once=True)
        self._found: dict[str, Found] = {}
        self.rows = self.held = 0
        for name, days in past.items():
            self._fleet.serve(name, _learn(days, tuning))

    @property
    def episodes(self) -> tuple[Found, ...]:
        """Return what was found up to now, in the order in which it was opened."""
        return tuple(self._found.values())

    def refits(self, names: Mapping[str, Days]) -> int:
        """Return how often the models of these machines were refitted."""
        return sum(self._fleet.served(name).refits for name in names)

    def take(self, days: Mapping[str, Days], told: Callable[[], None] = lambda: None) -> None:
        """Take all machines' rows tick by tick; `told` is called after each tick."""
        names = list(days)
        metrics = {name: self._fleet.served(name).model.metrics for name in names}
        values = {name: one.rows.of(metrics[name]).values for name, one in days.items()}
        for tick, ts_s in enumerate(next(iter(days.values())).rows.ts_s.tolist()):
            results = self._fleet.push([(name, ts_s, values[name][tick]) for name in names])
            for name, (_, held, news) in zip(names, results, strict=True):
                self.rows += 1
                self.held += held
                if news is not None and news.told:
                    self._note(name, news, days[name].modes[tick])
            told()

    def _note(self, machine: str, news: News, mode: str) -> None:
        state = self._fleet.state(machine, {MODE: mode}, news.explanation)
        model = ModelRef(name="normal", version=news.served.named_version)
        for one in news.told:
            now = datetime.fromtimestamp(one.ts_s, UTC)
            situation = Situation(machine, machine, state, news.score, model, now)
            event = anomaly(one, news.explanation, situation)
            known = self._found.get(event.anomaly_id)
            if known is None:
                self._found[event.anomaly_id] = _found(event)
            else:
                later = replace(known, closed_s=one.ts_s, severity=event.severity)
                self._found[event.anomaly_id] = later


def _learn(past: Days, tuning: Tuning) -> Start:
    learnt = fit(past.rows, tuning)
    since_s = past.rows.ts_s[-1] - learnt.model.reach_s
    first = int(np.searchsorted(past.rows.ts_s, since_s))
    return Start(learnt.model, "1", learnt.facts, past.rows.cut(first), learnt.used)


def _found(event: Anomaly) -> Found:
    return Found(
        machine=event.machine,
        started_s=event.started_at.timestamp(),
        opened_s=event.ts.timestamp(),
        closed_s=event.ts.timestamp(),
        anomaly_type=event.anomaly_type,
        severity=event.severity,
        state=event.operating_state,
        contributors=tuple(one.metric for one in event.contributors if one.share > 0.0),
    )
