"""A span of history scored again as it was scored live: the same fleet, the same models, the same rows."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from broker.messages import Anomaly, ModelRef
from detector import events
from detector.fleet import Fleet, Start
from detector.lot import News
from detector.models import Model
from detector.rows import Floats, Rows
from detector.signals import SignalFacts
from detector.training import MODEL
from detector.tuning import Tuning

LEAD_ROWS: Final = 100
"""Rows before the span that verdicts are stepped through, so that what began before it has begun."""
NEVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Serving:
    """A model that served from `since_s` (epoch) on, until the next one did."""

    since_s: float
    model: Model
    facts: SignalFacts
    version: str
    refits: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """What is to be scored: raw rows from `start_s` to before `end_s`, and those before as a lead.

    `servings` are in order of time and know the same metrics; the first one serves from the beginning.
    `remembered` is what the machine's models learn from: it tells what the machine draws when it works.
    """

    machine: str
    name: str
    start_s: float
    end_s: float
    servings: tuple[Serving, ...]
    rows: Rows
    remembered: Rows
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Scores of the rows of the span, NaN where there was none, and the events of its episodes in order."""

    ts_s: Floats
    scores: Floats
    events: tuple[Anomaly, ...]


def lead_s(model: Model) -> float:
    """Return how far before a span rows are needed, in seconds."""
    return model.reach_s + max(LEAD_ROWS * model.period_s, model.patience.least_s)


def score(span: Span, tuning: Tuning) -> Found:
    """Score the span. What a machine said of its own state is not in it: its power tells instead."""
    fleet = Fleet(replace(tuning, refit_rows=NEVER), span.price, refit_at_once=False)
    first, *later = span.servings
    rows = span.rows.of(first.model.metrics)
    fill = rows.where(rows.ts_s < span.start_s - (lead_s(first.model) - first.model.reach_s))
    fleet.serve(span.machine, _start(first, fill, span.remembered))
    scores, told = np.full(len(rows), np.nan), []
    for at in range(len(fill), len(rows)):
        ts_s = float(rows.ts_s[at])
        while later and ts_s >= later[0].since_s:
            fleet.serve(span.machine, _start(later.pop(0), rows.cut(0, 0), span.remembered))
        ((scores[at], _, news),) = fleet.push([(span.machine, ts_s, rows.values[at])])
        if news is not None and ts_s >= span.start_s:
            told += _events(fleet, span, news)
    inside = (rows.ts_s >= span.start_s) & (rows.ts_s < span.end_s)
    return Found(rows.ts_s[inside], scores[inside], tuple(told))


def _start(serving: Serving, past: Rows, remembered: Rows) -> Start:
    return Start(serving.model, serving.version, serving.facts, past, remembered, refits=serving.refits)


def _events(fleet: Fleet, span: Span, news: News) -> list[Anomaly]:
    """Return the events as they would be published, as of the time of their row."""
    if not news.explanation.views:
        return []
    state = fleet.state(span.machine, {}, news.explanation)
    model = ModelRef(name=MODEL, version=news.served.named_version)
    found = []
    for told in news.told:
        now = datetime.fromtimestamp(told.ts_s, UTC)
        known = news.served.told_type
        situation = events.Situation(span.machine, span.name, state, news.score, model, now, known)
        event = events.anomaly(told, news.explanation, situation)
        news.served.told_type = event.anomaly_type
        found.append(event)
    return found
