"""How figures spread over random halves of the files; what a threshold of one half earns on the other."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from enms.bench import detect_nab
from enms.bench.detect_figures import series
from enms.bench.detect_points import Counts
from enms.bench.detect_run import Judged
from enms.bench.report import Result

DRAWN: Final = 200
SEED: Final = 20_260_304
LEAST_FILES: Final = 4
POOLED: Final[dict[str, tuple[Callable[[Counts], float], str]]] = {
    "f1": (lambda counts: counts.f1, ""),
    "far_pct": (lambda counts: counts.far_pct, "%"),
    "mar_pct": (lambda counts: counts.mar_pct, "%"),
    "balanced_accuracy": (lambda counts: counts.balanced_accuracy, ""),
}

Half = NDArray[np.bool_]


def halves(name: str, files: Sequence[Judged]) -> list[Result]:
    """Return the spread of a family's figures; nothing where there are too few files to halve."""
    if len(files) < LEAST_FILES or name not in {"skab", "nab"}:
        return []
    return _nab(name, files) if name == "nab" else _pooled(name, files)


def drawn(files: int) -> list[Half]:
    """Return random halves, each a choice (n) of files; the same in every run."""
    draw = np.random.default_rng(SEED)
    return [np.isin(np.arange(files), draw.permutation(files)[: files // 2]) for _ in range(DRAWN)]


def _pooled(name: str, files: Sequence[Judged]) -> list[Result]:
    counts = [one.counts for one in files]
    chosen = [
        Counts.pooled(one for one, taken in zip(counts, half, strict=True) if taken)
        for half in drawn(len(files))
    ]
    return [
        _told(f"{name}_{what}_of_halves", [figure(one) for one in chosen], unit)
        for what, (figure, unit) in POOLED.items()
    ]


def _nab(name: str, files: Sequence[Judged]) -> list[Result]:
    weighed = [series(one) for one in files]
    tried = detect_nab.candidates(weighed)
    windows = np.array([one.windows for one in weighed], float)
    found = []
    for profile in ("standard", "low_fp"):
        costs = detect_nab.PROFILES[profile]
        earned = np.array([[one.earned(threshold, costs) for threshold in tried] for one in weighed])
        elsewhere = []
        for half in drawn(len(files)):
            if windows[half].sum() and windows[~half].sum():
                at = int(np.argmax(earned[half].sum(axis=0)))
                worst = -costs.miss * windows[~half].sum()
                elsewhere.append(100 * (earned[~half, at].sum() - worst) / (windows[~half].sum() - worst))
        note = "threshold chosen on one half, scored on the other"
        found.append(_told(f"{name}_{profile}_chosen_elsewhere", elsewhere, "", note))
    return found


def _told(what: str, figures: Sequence[float], unit: str, note: str = "random halves of the files") -> Result:
    known = np.array(figures)
    spread = f"spread {known.std():.3g}, {known.min():.4g} to {known.max():.4g}" if len(known) else "none"
    return Result.of(what, float(known.mean()) if len(known) else 0.0, unit, note=f"{note}; {spread}")
