"""Percentiles of what a row waits for."""

import numpy as np
import pytest

from detector.hops import Hops

NOW_S = 1_772_625_600.0


def test_percentiles_are_near_those_of_all_durations() -> None:
    durations = np.random.default_rng(1).lognormal(3.0, 1.0, 20_000)
    hops = Hops()
    for part, took in enumerate(np.split(durations, 40)):
        hops.note("measured_scored", took.tolist(), NOW_S + part)
    found = hops.percentiles(NOW_S + 40)["measured_scored"]
    wanted = np.percentile(durations, [50, 95, 99]).tolist()
    assert [found.p50_ms, found.p95_ms, found.p99_ms] == pytest.approx(wanted, rel=0.05)


def test_what_is_older_than_a_minute_counts_no_more() -> None:
    hops = Hops()
    hops.note("scored_kept", [900.0], NOW_S)
    hops.note("scored_kept", [9.0], NOW_S + 30)
    assert hops.percentiles(NOW_S + 59)["scored_kept"].p99_ms == pytest.approx(900, rel=0.04)
    assert hops.percentiles(NOW_S + 61)["scored_kept"].p99_ms == pytest.approx(9, rel=0.04)
    assert hops.percentiles(NOW_S + 200) == {}


def test_a_second_that_comes_round_again_begins_anew() -> None:
    hops = Hops()
    hops.note("arrived_scored", [5.0] * 100, NOW_S)
    hops.note("arrived_scored", [50.0], NOW_S + 60)
    assert hops.percentiles(NOW_S + 60)["arrived_scored"].p50_ms == pytest.approx(50, rel=0.04)


def test_nothing_noted_is_no_hop_and_extremes_fit_in() -> None:
    hops = Hops()
    hops.note("measured_arrived", [], NOW_S)
    assert hops.percentiles(NOW_S) == {}
    hops.note("measured_arrived", [-5.0, 0.0, 1e12], NOW_S)
    assert hops.percentiles(NOW_S)["measured_arrived"].p50_ms < 0.2
