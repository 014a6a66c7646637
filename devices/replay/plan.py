"""Decides when each row of a recording is sent, and under which time: pure, so that it can be tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Final

from broker.messages import Announce, MetricInfo
from broker.topics import check_level
from devices.replay.reader import RecordedRow, Recording

_ONE_ROW: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Sending:
    """A row to send `after_s` the start, published with the time `ts`."""

    after_s: float
    ts: datetime
    numbers: Mapping[str, float]
    states: Mapping[str, str]

    def body(self) -> dict[str, object]:
        """Return the row as a telemetry object."""
        return {"ts": self.ts, **self.numbers, **self.states}


@dataclass(frozen=True, slots=True)
class Plan:
    """All there is to send for one machine, in order. `announce` tells the units that are known."""

    machine: str
    sendings: tuple[Sending, ...]
    announce: Announce

    @property
    def duration_s(self) -> float:
        """How long it takes to play."""
        return self.sendings[-1].after_s


def make_plan(
    recordings: Sequence[Recording],
    machine: str,
    *,
    starts_at: datetime,
    speed: float = 1.0,
    ends_at: datetime | None = None,
) -> Plan:
    """Plan to play recordings one after the other as one machine, `speed` times as fast as recorded.

    A row's `ts` is `ends_at` minus the recorded time from the row to the end of its file (and of the files
    behind it), whichever rows are chosen. `ends_at` is by default when this replay will be over, or so much
    earlier that nothing lies in the future when it is sent. `speed` 0 sends as fast as the bus takes it.
    Raises BadTopicError for a bad machine name, ValueError for a negative speed or no recording.
    """
    check_level("machine", machine)
    if speed < 0.0 or not recordings:
        msg = f"speed {speed:g} must be 0 (as fast as possible) or above, and there must be a recording"
        raise ValueError(msg)
    placed: list[tuple[float, timedelta, RecordedRow]] = []
    clock_s = 0.0
    behind = _lengths_behind(recordings)
    for number, recording in enumerate(recordings):
        first = recording.rows[0].recorded
        for row in recording.rows:
            after_s = clock_s + _sent_after_s(row.recorded - first, speed)
            placed.append((after_s, behind[number] + (recording.ends - row.recorded), row))
        clock_s = placed[-1][0] + _sent_after_s(_usual_step(recording), speed)
    over_s = placed[-1][0]
    if ends_at is None:
        # A slow replay stretches time: then the first row, not the last, decides what is not yet future.
        slack_s = min(after_s + left.total_seconds() for after_s, left, _ in placed)
        ends_at = starts_at + timedelta(seconds=min(over_s, slack_s))
    sendings = tuple(
        Sending(after_s, ends_at - left, row.numbers, row.states) for after_s, left, row in placed
    )
    return Plan(machine, sendings, _announce(recordings))


def _sent_after_s(recorded: timedelta, speed: float) -> float:
    return recorded.total_seconds() / speed if speed else 0.0


def _usual_step(recording: Recording) -> timedelta:
    """Return the median distance of rows: what lies between the last of a file and the first of the next."""
    steps = [(b.recorded - a.recorded).total_seconds() for a, b in pairwise(recording.rows)]
    return timedelta(seconds=median(steps)) if steps else _ONE_ROW


def _lengths_behind(recordings: Sequence[Recording]) -> list[timedelta]:
    """Return for each recording how much recorded time the files behind it take."""
    behind = [timedelta()]
    for recording, before in zip(reversed(recordings[1:]), reversed(recordings[:-1]), strict=True):
        behind.append(behind[-1] + (recording.ends - recording.begins) + _usual_step(before))
    return behind[::-1]


def _announce(recordings: Sequence[Recording]) -> Announce:
    units = {
        column.metric: MetricInfo(unit=column.unit)
        for recording in recordings
        for column in recording.columns
        if column.unit and not column.text
    }
    return Announce(metrics=units)
