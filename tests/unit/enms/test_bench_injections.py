"""The faults that are put into a clean meter: where they are, what they change, and that they come again."""

import numpy as np
import pytest

from detector.rows import Rows
from enms.bench.injections import GROWTH_SEEN, KINDS, inject

DAYS = 150
STEP_S = 900.0


def a_meter() -> Rows:
    ts_s = np.arange(DAYS * 96) * STEP_S
    hour = ts_s % 86400.0 / 3600.0
    draw = np.random.default_rng(1)
    busy = (hour >= 8) & (hour < 20)
    usage = np.where(busy, 50.0, 3.0) * draw.uniform(0.9, 1.1, len(ts_s))
    return Rows(("shift", "usage_kwh"), ts_s, np.stack([busy.astype(float), usage], axis=1))


def test_the_same_seed_gives_the_same_faults_and_another_seed_others() -> None:
    one, again, other = inject(a_meter(), 4), inject(a_meter(), 4), inject(a_meter(), 5)
    assert np.array_equal(one.rows.values, again.rows.values)
    assert one.faults == again.faults
    assert one.faults != other.faults


def test_every_kind_comes_as_often_as_asked_for_and_none_where_it_must_be_clean() -> None:
    made = inject(a_meter(), 2, each=2, clean_share=0.4)
    assert sorted(fault.kind for fault in made.faults) == sorted((*KINDS, *KINDS))
    assert min(fault.first for fault in made.faults) >= 0.4 * DAYS * 96
    assert all(one.end <= two.first for one, two in zip(made.faults, made.faults[1:], strict=False))
    for fault in made.faults:
        assert made.labels[fault.first : fault.end].any()


def test_only_labelled_rows_change_but_where_a_creeping_meter_has_hardly_begun() -> None:
    clean = a_meter()
    made = inject(clean, 3)
    before, after = clean.values[:, 1], made.rows.values[:, 1]
    changed = ~np.isclose(before, after)
    hidden = changed & ~made.labels
    assert np.all(after[hidden] <= before[hidden] * (1.0 + GROWTH_SEEN) + 1e-9)
    assert np.array_equal(clean.values[:, 0], made.rows.values[:, 0])
    assert np.array_equal(clean.values, a_meter().values)


def test_each_kind_does_what_its_name_says() -> None:
    clean = a_meter()
    made = inject(clean, 6)
    for fault in made.faults:
        span = slice(fault.first, fault.end)
        before, after, marked = clean.values[span, 1], made.rows.values[span, 1], made.labels[span]
        if fault.kind == "dropout":
            assert not after.any()
        elif fault.kind == "stuck":
            assert len(set(after)) == 1
        elif fault.kind == "scale":
            assert after / before == pytest.approx(1.0 + fault.strength)
        elif fault.kind == "creep":
            assert after[-1] / before[-1] == pytest.approx(1.0 + fault.strength)
        elif fault.kind == "standby":
            assert np.ptp((after - before)[marked]) == pytest.approx(0.0, abs=1e-9)
            assert after[marked].max() < 30.0
        else:
            assert np.all(after[marked] > before[marked] + 5.0)
            assert 0.0 < marked.mean() < 0.5


def test_too_few_rows_and_no_energy_are_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match="give more rows or fewer faults"):
        inject(a_meter().cut(0, 3000), 1)
    with pytest.raises(ValueError, match="no column that ends in _kwh or _kw"):
        inject(Rows(("shift",), np.arange(9000) * STEP_S, np.zeros((9000, 1))), 1)
