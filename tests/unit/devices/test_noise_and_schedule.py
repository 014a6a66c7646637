from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.factory import Factory, noise, occasional_faults, plant
from devices.factory.shifts import Phase, Shifts
from devices.factory.weather import Weather

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)


def test_normal_noise_is_normal_over_time_and_over_machines() -> None:
    keys = noise.keys(1, *((f"m{number}", "x") for number in range(200)))
    drawn = np.stack([noise.normal(keys, tick) for tick in range(1000, 200_000, 1000)])
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(drawn[:, :-1].ravel(), drawn[:, 1:].ravel())[0, 1]) < 0.02
    assert (np.abs(drawn) > 2).mean() == pytest.approx(0.0455, abs=0.005)


@given(st.integers(0, 2**60), st.integers(-(2**60), 2**60))
def test_uniform_numbers_are_from_0_to_below_1_and_the_same_again(seed: int, tick: int) -> None:
    keys = noise.keys(seed, ("a", "x"), ("b", "x"))
    drawn = noise.uniform(keys, tick)
    assert ((drawn >= 0) & (drawn < 1)).all()
    assert (drawn == noise.uniform(keys, tick)).all()
    assert drawn[0] != drawn[1]


def test_smooth_noise_has_no_jumps_and_stays_within_one() -> None:
    smooth = noise.Smooth(noise.keys(1, ("a", "x")), 60.0)
    seen = np.array([smooth.at(0.5 * number)[0] for number in range(2000)])
    assert np.abs(np.diff(seen)).max() < 2 * 1.5 / 120 + 1e-9
    assert np.abs(seen).max() <= 1
    assert seen.std() > 0.2
    assert smooth.at(17.0)[0] == seen[34], "going back gives the same"


def test_summer_is_warmer_than_winter_and_afternoon_than_night() -> None:
    weather = Weather(3)

    def mean_c(month: int, hour: int) -> float:
        days = [datetime(2026, month, day, hour, tzinfo=UTC).timestamp() for day in range(1, 29)]
        return sum(weather.outdoor_c(at_s) for at_s in days) / len(days)

    assert mean_c(7, 12) > mean_c(1, 12) + 10
    assert mean_c(5, 15) > mean_c(5, 3) + 5


@pytest.mark.parametrize(
    ("pattern", "day", "hour", "phase"),
    [
        ("two_shifts", 0, 5.9, Phase.CLOSED),
        ("two_shifts", 0, 6.1, Phase.WORK),
        ("two_shifts", 2, 10.2, Phase.BREAK),
        ("two_shifts", 4, 21.9, Phase.WORK),
        ("two_shifts", 4, 22.1, Phase.CLOSED),
        ("two_shifts", 5, 12.0, Phase.CLOSED),
        ("three_shifts", 0, 5.9, Phase.CLOSED),
        ("three_shifts", 2, 23.5, Phase.WORK),
        ("three_shifts", 3, 2.2, Phase.BREAK),
        ("three_shifts", 5, 5.9, Phase.WORK),
        ("three_shifts", 5, 6.1, Phase.CLOSED),
        ("three_shifts", 6, 12.0, Phase.CLOSED),
    ],
)
def test_shifts_open_and_close_when_people_come_and_go(
    pattern: str, day: int, hour: float, phase: Phase
) -> None:
    at = BEGIN + timedelta(days=day, hours=hour)
    assert at.weekday() == day
    phases, open_for_s = Shifts([pattern], np.zeros(1)).at(at.timestamp())
    assert phases[0] == phase
    assert (open_for_s[0] > 0) == (phase != Phase.CLOSED)


def test_scheduled_faults_lie_in_their_span_and_can_be_put_in() -> None:
    machines, end = plant(), BEGIN + timedelta(weeks=8)
    faults = occasional_faults(machines, 1, BEGIN, end, a_week=0.5)
    assert faults == occasional_faults(machines, 1, BEGIN, end, a_week=0.5)
    assert faults != occasional_faults(machines, 2, BEGIN, end, a_week=0.5)
    assert len(faults) == 14 * 4
    assert all(BEGIN <= fault.start < end for fault in faults)
    assert [fault.start for fault in faults] == sorted(fault.start for fault in faults)
    assert len({fault.kind for fault in faults}) == 6
    factory = Factory(machines, 1, BEGIN)
    for fault in faults:
        factory.inject(fault)
