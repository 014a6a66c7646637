"""What is said of each family of recorded data: figures beside what has been published and what was promised.

Published figures: SKAB's leader board (github.com/waico/SKAB) and NAB's (github.com/numenta/NAB); for the
fault-free run and the meter none are published, so simple methods stand there that we ran ourselves.
"""

from collections.abc import Callable, Sequence

import numpy as np

from enms.bench import detect_nab
from enms.bench.detect_points import Counts, auc, spans
from enms.bench.detect_run import Judged
from enms.bench.report import Promised, Result

Family = Callable[[Sequence[Judged], str], list[Result]]
"""Makes the figures of a family's files; the name is put before each."""
ROW_MS: Promised = (1.0, 1.0)


def skab(files: Sequence[Judged], name: str = "skab") -> list[Result]:
    """Rows of all experiments pooled."""
    found = Counts.pooled(one.counts for one in files)
    many = f"{len(files)} files, {sum(len(one.alarm) for one in files):,} rows"
    best = "published: Conv-AE"
    return [
        Result.of(f"{name}_f1", found.f1, "", promised=(0.80, 0.84), note=f"{best} 0.78; {many}"),
        Result.of(f"{name}_far_pct", found.far_pct, "%", promised=(13.5, 12.0), note=f"{best} 13.6"),
        Result.of(f"{name}_mar_pct", found.mar_pct, "%", promised=(27.0, 20.0), note=f"{best} 28.0"),
        Result.of(
            f"{name}_balanced_accuracy",
            found.balanced_accuracy,
            "",
            promised=(0.81, 0.84),
            note=f"{best} 0.792",
        ),
        _mean(f"{name}_auc", [auc(one.recorded.faulty, one.scores) for one in files], ""),
        _row_ms(name, files),
    ]


def skab_normal(files: Sequence[Judged], name: str = "skab_normal") -> list[Result]:
    """How many rows of a run without a fault are alarmed."""
    found = Counts.pooled(one.counts for one in files)
    note = f"none published; T2 98; {sum(one.events.unrelated for one in files)} episodes"
    return [Result.of(f"{name}_far_pct", found.far_pct, "%", promised=(1.0, 0.5), note=note)]


def nab(files: Sequence[Judged], name: str = "nab") -> list[Result]:
    """One threshold for all files, the best there is, for each profile; and what alarms that makes."""
    weighed = [series(one) for one in files]
    notes = {
        "standard": "published: HTM 70, KNN CAD 58.0, random cut forest 51.7",
        "low_fp": "",
        "low_fn": "",
    }
    promised: dict[str, Promised] = {"standard": (55.0, 65.0), "low_fp": (None, 55.0)}
    days = sum(one.days for one in weighed)
    found: list[Result] = []
    if not sum(one.windows for one in weighed):
        return [Result.of(f"{name}_windows", 0, "windows", note="nothing is labelled in these files")]
    for profile, costs in detect_nab.PROFILES.items():
        figure, threshold = detect_nab.best(weighed, costs)
        alarms = sum(one.alarms(threshold) for one in weighed)
        note = "; ".join(text for text in (notes[profile], f"threshold {threshold:.4g}") if text)
        found += [
            Result.of(f"{name}_{profile}", figure, "", promised=promised.get(profile), note=note),
            Result.of(f"{name}_{profile}_alarms_per_day", alarms / days, "1/day", note=f"{alarms} alarms"),
        ]
    fixed = detect_nab.score(weighed, 1.0, detect_nab.PROFILES["standard"])
    episodes = sum(len(spans(one.alarm)) for one in files)
    return [
        *found,
        Result.of(f"{name}_at_threshold_1", fixed, "", note="standard, at the detector's own threshold"),
        Result.of(f"{name}_episodes_per_day", episodes / days, "1/day", note=f"{episodes} as it runs live"),
        _row_ms(name, files),
    ]


def steel(files: Sequence[Judged], name: str = "steel") -> list[Result]:
    """Rows and events of meters with faults put in."""
    found = Counts.pooled(one.counts for one in files)
    events, weeks = [one.events for one in files], sum(one.recorded.weeks for one in files)
    there, seen = sum(one.events for one in events), sum(one.found for one in events)
    beside = sum(one.unrelated for one in events)
    simple = "none published; time-of-week robust z"
    return [
        Result.of(f"{name}_f1", found.f1, "", promised=(0.70, 0.80), note=f"{simple} 0.21"),
        Result.of(
            f"{name}_auc",
            float(np.nanmean([auc(one.recorded.faulty, one.scores) for one in files])),
            "",
            promised=(0.88, 0.92),
            note=f"{simple} 0.62",
        ),
        Result.of(f"{name}_events_found", seen, "events", promised=(None, there), note=f"of {there}"),
        Result.of(
            f"{name}_unrelated_per_week",
            beside / weeks,
            "1/week",
            promised=(1.0, 1.0),
            note=f"{beside} episodes in {weeks:.1f} weeks",
        ),
        Result.of(f"{name}_far_pct", found.far_pct, "%"),
        Result.of(f"{name}_mar_pct", found.mar_pct, "%"),
        _row_ms(name, files),
    ]


def fresh(files: Sequence[Judged], name: str = "steel_fresh") -> list[Result]:
    """Mean and spread of the meter's figures over fresh injections, each judged by itself."""
    each = [{one.what: one for one in steel([file], name)} for file in files]
    found = []
    for what in (f"{name}_f1", f"{name}_auc", f"{name}_unrelated_per_week"):
        figures = [one[what].figure for one in each]
        first = each[0][what]
        promised = (first.floor, first.goal) if first.goal is not None else None
        found.append(_mean(what, figures, first.unit, promised))
    seen = [file.events.found / max(1, file.events.events) * 100 for file in files]
    return [*found, _mean(f"{name}_events_found_pct", seen, "%", (None, 100.0))]


def series(one: Judged) -> detect_nab.Series:
    """Weigh a file of NAB's; the rows learnt from have no score."""
    scores = np.concatenate([np.full(one.recorded.train, np.nan), one.scores])
    return detect_nab.series(one.recorded.table.times, scores, one.recorded.windows)


def _mean(what: str, figures: Sequence[float], unit: str, promised: Promised | None = None) -> Result:
    known = np.array(figures, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Result.of(what, 0.0, unit, note="nothing to measure it by")
    note = f"spread {known.std():.3g}, {known.min():.4g} to {known.max():.4g} over {len(known)}"
    return Result.of(what, float(known.mean()), unit, promised=promised, note=note)


def _row_ms(name: str, files: Sequence[Judged]) -> Result:
    each = 1000 * float(np.mean([one.row_s for one in files]))
    cpu = 1000 * float(np.mean([one.row_cpu_s for one in files]))
    note = f"refits included; {cpu:.3g} ms of processor time"
    return Result.of(f"{name}_row_ms", each, "ms", promised=ROW_MS, note=note)
