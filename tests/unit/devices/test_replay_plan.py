from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.topics import BadTopicError
from devices.replay import Plan, ReadOptions, Recording, make_plan, read_text

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RECORDED = datetime(2020, 3, 9, tzinfo=UTC)
TOLERANCE = timedelta(microseconds=20)


def recording(*seconds: float, first: int | None = None, last: int | None = None) -> Recording:
    lines = ["time;x_kw;mode"]
    lines += [f"{(RECORDED + timedelta(seconds=s)).isoformat()};{s};on" for s in seconds]
    return read_text("\n".join(lines), "r.csv", ReadOptions(first=first, last=last))


def moments_of_sending(plan: Plan) -> list[datetime]:
    return [NOW + timedelta(seconds=sending.after_s) for sending in plan.sendings]


def test_at_speed_1_every_time_is_the_moment_of_sending() -> None:
    plan = make_plan([recording(0, 1, 3, 10)], "pump", starts_at=NOW)
    assert [sending.ts for sending in plan.sendings] == moments_of_sending(plan)
    assert [sending.after_s for sending in plan.sendings] == [0, 1, 3, 10]
    assert plan.duration_s == 10


def test_at_speed_50_the_recorded_spacing_is_kept_and_the_end_is_when_it_is_over() -> None:
    plan = make_plan([recording(0, 1, 3, 100)], "pump", starts_at=NOW, speed=50)
    assert [sending.after_s for sending in plan.sendings] == [0, 0.02, 0.06, 2]
    end = NOW + timedelta(seconds=2)
    assert [end - sending.ts for sending in plan.sendings] == [timedelta(seconds=s) for s in (100, 99, 97, 0)]


def test_times_belong_to_the_whole_file_whichever_rows_are_chosen() -> None:
    ends_at = NOW - timedelta(hours=1)
    whole = make_plan([recording(0, 1, 3, 10)], "pump", starts_at=NOW, ends_at=ends_at)
    part = make_plan([recording(0, 1, 3, 10, first=1, last=2)], "pump", starts_at=NOW, ends_at=ends_at)
    assert [s.ts for s in part.sendings] == [s.ts for s in whole.sendings][1:3]
    assert [s.after_s for s in part.sendings] == [0, 2]


def test_chosen_rows_end_as_long_before_the_end_of_replay_as_they_were_recorded_before_the_file_ended() -> (
    None
):
    plan = make_plan([recording(0, 1, 3, 10, last=2)], "pump", starts_at=NOW, speed=2)
    assert plan.sendings[-1].ts == NOW + timedelta(seconds=1.5) - timedelta(seconds=7)


def test_speed_0_is_due_at_once_and_ends_now() -> None:
    plan = make_plan([recording(0, 1, 3)], "pump", starts_at=NOW, speed=0)
    assert {sending.after_s for sending in plan.sendings} == {0}
    assert [sending.ts for sending in plan.sendings] == [NOW - timedelta(seconds=s) for s in (3, 2, 0)]


def test_several_files_are_played_one_after_the_other_on_one_line_of_time() -> None:
    plan = make_plan([recording(0, 1, 2), recording(0, 2, 4)], "pump", starts_at=NOW)
    assert [sending.after_s for sending in plan.sendings] == [0, 1, 2, 3, 5, 7]
    assert [sending.ts for sending in plan.sendings] == moments_of_sending(plan)


def test_a_row_carries_its_time_its_numbers_and_its_states() -> None:
    plan = make_plan([recording(5)], "pump", starts_at=NOW)
    assert plan.sendings[0].body() == {"ts": NOW, "x_kw": 5.0, "mode": "on"}
    assert {name: info.unit for name, info in plan.announce.metrics.items()} == {"x_kw": "kW"}


def test_a_bad_machine_or_speed_is_refused() -> None:
    with pytest.raises(BadTopicError, match="machine 'a/b' is not allowed"):
        make_plan([recording(0)], "a/b", starts_at=NOW)
    with pytest.raises(ValueError, match="0 \\(as fast as possible\\) or above"):
        make_plan([recording(0)], "pump", starts_at=NOW, speed=-1)
    with pytest.raises(ValueError, match="there must be a recording"):
        make_plan([], "pump", starts_at=NOW)


@given(
    files=st.lists(
        st.lists(st.integers(0, 100_000), min_size=1, max_size=12, unique=True), min_size=1, max_size=3
    ),
    speed=st.sampled_from([0, 0.1, 0.5, 1, 2, 50, 1000]),
    data=st.data(),
)
def test_nothing_lies_in_the_future_and_recorded_spacing_is_kept(
    files: list[list[int]], speed: float, data: st.DataObject
) -> None:
    recordings = []
    for seconds in files:
        first = data.draw(st.integers(0, len(seconds) - 1))
        last = data.draw(st.integers(first, len(seconds) - 1))
        recordings.append(recording(*seconds, first=first, last=last))
    plan = make_plan(recordings, "pump", starts_at=NOW, speed=speed)
    for sending, moment in zip(plan.sendings, moments_of_sending(plan), strict=True):
        assert sending.ts <= moment + TOLERANCE
    for one, next_one in pairwise(plan.sendings):
        assert one.after_s <= next_one.after_s
        assert one.ts < next_one.ts
    place = 0
    for part in recordings:
        for (a, b), (x, y) in zip(
            pairwise(part.rows), pairwise(plan.sendings[place : place + len(part.rows)]), strict=True
        ):
            assert abs((y.ts - x.ts) - (b.recorded - a.recorded)) <= TOLERANCE
        place += len(part.rows)
    assert place == len(plan.sendings)
