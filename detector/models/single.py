"""A channel by itself: it is strange when no stretch of what it remembers is like the present.

Values are averaged to steps of at least `step_least_s`. The stretch that ends now is compared with all
remembered ones (k nearest neighbours in a lag embedding, after Burnaev and Ishimtsev, "Conformalized
density- and distance-based anomaly detection in time-series data", 2016), with weights that fall into the
past. How far is far is learnt from the distances themselves: the score is how far, in logarithms, the
distance lies beyond a limit that only a small share exceeds, over the spread of those beyond. A surprise is
told once: afterwards a channel has to be clearly stranger still to be told again, for `quiet_steps`.
"""

from dataclasses import asdict, dataclass, fields
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from detector.models.base import (
    Follower,
    Model,
    Patience,
    TooFewRowsError,
    WrongModelError,
    metrics_in,
    patience_in,
)
from detector.models.single_follow import SPREADS_MOST, SingleFollower, log_distance
from detector.models.single_memory import Memory
from detector.models.single_tail import BINS, STEP, Tail
from detector.rows import Floats, Rows, usual_period_s
from detector.tuning import SingleSetting, Tuning

FORGOTTEN: Final = 30.0
"""After so many times `echo_steps` a difference has no weight in double precision that matters."""
TRUSTED_SHARES: Final = (0.25, 0.05, 0.01)
STILL_RATIO: Final = 1e-3
"""A channel that never moved may be taken to move by so much of its value."""
SMALLEST: Final = 1e-6
WIDEST: Final = 1e100


@dataclass(frozen=True, slots=True)
class SingleModel(Model):
    """What a follower starts from: what was remembered at the end of training, and the tail of distances.

    `center` and `spread` only keep numbers in bounds. `memory` (newest first, in spreads from the center)
    and `sums` are those of `Memory`, `counts` and `origin` those of `Tail`.
    """

    kind: ClassVar[str] = "single"

    metrics: tuple[str, ...]
    features: tuple[str, ...]
    samples: int
    period_s: float
    span_s: float
    reach_s: float
    patience: Patience
    learnt_until_s: float
    rows_a_step: int
    center: float
    spread: float
    origin: int
    setting: SingleSetting
    memory: Floats
    sums: Floats
    counts: Floats

    @classmethod
    def learn(cls, rows: Rows, tuning: Tuning) -> Self:
        """Follow the newest `learn_steps` of the rows of the first metric. Raises TooFewRowsError."""
        setting = tuning.single
        rows = rows.of(rows.metrics[:1]).where(np.isfinite(rows.values[:, 0]))
        period_s = usual_period_s(rows.ts_s)
        rows_a_step = max(1, round(setting.step_least_s / period_s))
        least = setting.steps_least * rows_a_step
        if len(rows) < least:
            msg = f"{len(rows)} rows are too few to learn one channel from; it takes {least}"
            raise TooFewRowsError(msg)
        newest = rows.cut(max(0, len(rows) - setting.learn_steps * rows_a_step))
        center, spread = _bounds(newest.values[:, 0])
        step_s = rows_a_step * period_s
        blank = cls(
            metrics=rows.metrics,
            features=rows.metrics,
            samples=len(rows),
            period_s=period_s,
            span_s=setting.lags * step_s,
            reach_s=(setting.memory_steps + FORGOTTEN * setting.echo_steps) * step_s,
            patience=_patience(setting, step_s),
            learnt_until_s=-np.inf,
            rows_a_step=rows_a_step,
            center=center,
            spread=spread,
            origin=int(np.floor(np.log(setting.finest_ratio * spread) / STEP)),
            setting=setting,
            memory=np.empty(0),
            sums=np.empty(0),
            counts=np.zeros(BINS),
        )
        memory, tail = blank.start()
        steps = _steps(np.clip(newest.values[:, 0], *_edges(center, spread)), rows_a_step)
        for step in (steps - center) / spread:
            distance = memory.take(float(step))
            if distance is not None:
                tail.count(log_distance(distance, spread, setting), setting)
        return blank.with_past(memory, tail, float(newest.ts_s[-1]))

    def with_past(self, memory: Memory, tail: Tail, until_s: float) -> Self:
        """Return the same model with what was remembered and counted until then."""
        every = {one.name: getattr(self, one.name) for one in fields(self)}
        found = {
            "learnt_until_s": until_s,
            "memory": memory.values.copy(),
            "sums": memory.sums[: memory.remembered].copy(),
            "counts": tail.counts,
        }
        return type(self)(**{**every, **found})

    def start(self) -> tuple[Memory, Tail]:
        """Return what was remembered when learning ended, to be changed by a follower."""
        return Memory(self.setting, self.memory, self.sums), Tail(self.counts.copy(), self.origin)

    def follow(self, before: Follower | None = None) -> Follower:
        """Go on with what `before` knows, since it goes on learning; a new one starts from the training."""
        if (
            isinstance(before, SingleFollower)
            and before.basis.metrics == self.metrics
            and before.basis.rows_a_step == self.rows_a_step
            and before.basis.setting == self.setting
        ):
            return before
        return SingleFollower(self)

    def pack(self) -> tuple[dict[str, NDArray], dict[str, object]]:  # type: ignore[type-arg]
        """Split the fields into arrays and JSON."""
        every = {one.name: getattr(self, one.name) for one in fields(self)}
        arrays = {name: value for name, value in every.items() if isinstance(value, np.ndarray)}
        facts = {name: value for name, value in every.items() if name not in arrays}
        return arrays, {**facts, "patience": asdict(self.patience), "setting": asdict(self.setting)}

    @classmethod
    def unpack(cls, arrays: dict[str, NDArray], facts: dict[str, object]) -> Self:  # type: ignore[type-arg]
        """Check names and shapes, then put the fields together again."""
        wanted, found = {one.name for one in fields(cls)}, {*arrays, *facts}
        if wanted != found:
            differ = ", ".join(sorted(wanted ^ found))
            msg = f"a {cls.kind} model has other fields (missing or unknown: {differ}); train again"
            raise WrongModelError(msg)
        metrics = metrics_in(facts)
        if len(metrics) != 1:
            msg = f"a {cls.kind} model of {len(metrics)} metrics is stored, it has one; train again"
            raise WrongModelError(msg)
        setting = _setting_in(facts)
        room = setting.memory_steps + setting.lags
        for name, most in (("memory", room), ("sums", setting.memory_steps), ("counts", BINS)):
            array = arrays[name]
            if array.ndim != 1 or len(array) > most or array.dtype != np.float64:
                msg = f"{name} is {array.dtype}{array.shape} where at most {most} are kept; train again"
                raise WrongModelError(msg)
        read = {"metrics": metrics, "features": metrics, "patience": patience_in(facts), "setting": setting}
        return cls(**{**arrays, **facts, **read})  # type: ignore[arg-type]


def _setting_in(facts: dict[str, object]) -> SingleSetting:
    stored = facts["setting"]
    try:
        return SingleSetting(**stored)  # type: ignore[arg-type]
    except TypeError as error:
        msg = f"the stored setting is another one ({error}); train again"
        raise WrongModelError(msg) from error


def _patience(setting: SingleSetting, step_s: float) -> Patience:
    """One row is enough: the score itself speaks once an event."""
    return Patience(
        rows=1,
        least_s=0.0,
        calm_ratio=setting.calm_ratio,
        calm_s=setting.calm_steps * step_s,
        hole_s=setting.memory_steps * step_s,
        window_s=setting.lags * step_s,
    )


def _bounds(values: Floats) -> tuple[float, float]:
    """Return a middle, and a width that some extremes and long stillness do not distort."""
    center = float(np.clip(np.median(values), -WIDEST, WIDEST))
    for share in TRUSTED_SHARES:
        low, high = np.quantile(values, [share, 1.0 - share])
        if high - low > STILL_RATIO * SMALLEST * abs(center):
            return center, float(min(high - low, WIDEST))
    off = np.abs(np.clip(values, -WIDEST, WIDEST) - center)
    still = max(STILL_RATIO * abs(center), SMALLEST)
    moved = off[off > still]
    return center, float(np.median(moved)) if len(moved) else still


def _steps(values: Floats, rows_a_step: int) -> Floats:
    """Return the means of as many rows each; the newest that make no whole step are left out."""
    whole = len(values) // rows_a_step
    return np.asarray(values[: whole * rows_a_step].reshape(whole, rows_a_step).mean(axis=1))


def _edges(center: float, spread: float) -> tuple[float, float]:
    return center - SPREADS_MOST * spread, center + SPREADS_MOST * spread
