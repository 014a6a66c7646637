"""Training on a machine's own past: what may be learnt, the job and its stages, the card of what came out."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from broker.messages import MetricInfo, ModelCard, Training
from detector.config import DetectorConfig, Tuning
from detector.models import Model, TooFewRowsError, choose
from detector.rows import Rows, shortest_span_s, thinned, usual_period_s
from detector.signals import SignalFacts

MODEL: Final = "normal"
"""The name of the model of what is normal, a level of its topics."""
RETRAIN_UP_TO_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Job:
    """A training job as far as it has come. `seq` orders its messages."""

    machine: str
    job_id: str
    seq: int
    stage: str
    progress: float
    status: str = "running"
    metrics: dict[str, float] | None = None
    error: str | None = None

    @classmethod
    def start(cls, machine: str) -> "Job":
        """Begin a job."""
        return cls(machine, uuid.uuid4().hex, 0, "queued", 0.0, "queued")

    def at(self, stage: str, progress: float) -> "Job":
        """Return the job one stage further; `progress` is the share of the work done, 0 to 100."""
        return replace(self, seq=self.seq + 1, stage=stage, progress=progress, status="running")

    def done(self, metrics: dict[str, float]) -> "Job":
        """Return the completed job."""
        return replace(
            self, seq=self.seq + 1, stage="done", progress=100.0, status="completed", metrics=metrics
        )

    def failed(self, error: str) -> "Job":
        """Return the failed job, with the stage and the progress it failed at."""
        return replace(self, seq=self.seq + 1, status="failed", error=error[:500])

    def message(self, now: datetime) -> Training:
        """Return the job's state for the bus."""
        return Training(
            job_id=self.job_id,
            machine=self.machine,
            model=MODEL,
            status=self.status,  # type: ignore[arg-type]
            stage=self.stage,
            progress=self.progress,
            seq=self.seq,
            updated_at=now,
            metrics=self.metrics or {},
            error=self.error,
        )


def learnable(rows: Rows, episodes: tuple[tuple[float, float], ...], train_rows: int, tuning: Tuning) -> Rows:
    """Return the rows a model may learn from: not of an episode, and not the most recent windows.

    Where too few would be left, the first `train_rows` rows may be learnt from as far as no episode is open
    in them: a machine's first model has to begin somewhere.
    """
    if not len(rows):
        return rows
    span_s = shortest_span_s(usual_period_s(rows.ts_s), tuning)
    calm = np.ones(len(rows), bool)
    for started_s, ended_s in episodes:
        calm &= ~((rows.ts_s >= started_s - span_s) & (rows.ts_s <= ended_s))
    settled = rows.ts_s <= rows.ts_s[-1] - tuning.left_out_windows * span_s
    first = np.arange(len(rows)) < train_rows
    return rows.where(calm & (settled | first))


@dataclass(frozen=True, slots=True)
class Learnt:
    """A model, what is known of its machine's signals, and the rows it learnt from, as it sees them."""

    model: Model
    facts: SignalFacts
    used: Rows


def fit(
    rows: Rows, tuning: Tuning, wanted: str | None = None, announced: Mapping[str, MetricInfo] | None = None
) -> Learnt:
    """Learn from raw rows that are taken to be normal. Raises TooFewRowsError, WrongKindError."""
    facts = SignalFacts.learn(rows, announced or {}, tuning.sensor)
    used = thinned(facts.signals(rows), tuning)
    model = choose(used, tuning, wanted)
    if model.metrics != used.metrics:
        facts = SignalFacts.learn(rows.of(model.metrics), announced or {}, tuning.sensor)
        used = used.of(model.metrics)
    return Learnt(model, facts, used)


def learn(
    rows: Rows,
    config: DetectorConfig,
    wanted: str | None = None,
    announced: Mapping[str, MetricInfo] | None = None,
) -> Learnt:
    """Learn a machine's model of what may be learnt.

    Raises TooFewRowsError when the rows are fewer, or span less time, than the configuration asks for.
    """
    if len(rows) < config.train_rows * 2 // 3 or rows.ts_s[-1] - rows.ts_s[0] < config.train_span_s:
        wanted_rows = f"{config.train_rows} over {config.train_span_s:g} s"
        msg = f"{len(rows)} rows may be learnt from; it takes {wanted_rows}"
        raise TooFewRowsError(msg)
    return fit(rows, config.tuning, wanted, announced)


def card(
    machine: str, version: str, model: Model, used: Rows, now: datetime, why: str | None = None
) -> ModelCard:
    """Return the card of a model that learnt from `used`; `why` it is of its kind, in a sentence."""
    valid = {}
    for column, metric in enumerate(used.metrics):
        there = used.values[np.isfinite(used.values[:, column]), column]
        if len(there):
            valid[metric] = (float(there.min()), float(there.max()))
    return ModelCard(
        machine=machine,
        model=MODEL,
        version=version,
        kind=model.kind,
        trained_from=datetime.fromtimestamp(used.ts_s[0], UTC),
        trained_to=datetime.fromtimestamp(used.ts_s[-1], UTC),
        trained_at=now,
        samples=model.samples,
        features=model.features,
        metrics=quality(model, used),
        valid_range=valid,
        why=why,
    )


def quality(model: Model, used: Rows) -> dict[str, float]:
    """Return honest figures: how near normal rows come to the threshold, and the model's own time scales."""
    scores = model.score(used)
    scores = scores[np.isfinite(scores)]
    above = float(np.mean(scores >= 1.0)) if len(scores) else 0.0
    return {
        "rows_above_threshold_pct": round(100.0 * above, 3),
        "score_p99": round(float(np.quantile(scores, 0.99)), 4) if len(scores) else 0.0,
        "window_s": model.span_s,
        "period_s": model.period_s,
    }
