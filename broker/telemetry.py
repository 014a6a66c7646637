"""What devices really send, read without trust: readings, states, and what had to be refused.

A message is an object of numbers by metric, a list of those, or on a metric's own topic a bare number
or `{"ts": …, "value": …}`. Booleans are 1 and 0, null is no reading, one level of nesting is flattened
with a dot, a text is a state unless the name carries a unit. What cannot be taken is refused by itself
and the rest of the message is kept.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from broker.topics import BadTopicError, MetricTopic, TelemetryTopic, check_level
from broker.units import unit_of

MAX_BYTES: Final = 256 * 1024
MAX_FIELDS: Final = 256
MAX_ROWS: Final = 5000
MAX_TEXT: Final = 256
PAST: Final = timedelta(days=400)
FUTURE: Final = timedelta(days=1)
TIME_FIELDS: Final = ("ts", "timestamp", "time")
NUMBERING_FIELDS: Final = ("seq", "boot")

_MILLISECONDS_FROM: Final = 1e11  # as seconds this is the year 5138, as milliseconds 1973
_LARGEST: Final = 1e300  # a sum of a year of them stays finite
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Json = dict[str, "Json"] | list["Json"] | str | float | int | bool | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One number. Its identity is (machine, metric, ts)."""

    machine: str
    metric: str
    ts: datetime
    value: float


@dataclass(frozen=True, slots=True)
class State:
    """One text, such as `operating_mode` = `idle`."""

    machine: str
    field: str
    ts: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message, or one `field` of it, was not taken. `reason` is one of a few words for counting."""

    reason: str
    text: str
    field: str | None = None


@dataclass(slots=True)
class Parsed:
    """What a message held. `machine` is empty where the topic names none that may exist."""

    machine: str = ""
    readings: list[Reading] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, reason: str, text: str, name: str | None = None) -> None:
        """Note a refusal of the whole message, or of the field called `name`."""
        self.refusals.append(Refusal(reason, text, name))


class _RefusedError(ValueError):
    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def read(topic: str, payload: bytes, arrived: datetime) -> Parsed:
    """Read one telemetry message; `topic` is relative to the root, `arrived` is aware.

    Never raises: what is wrong is in `refusals`. A message without a time gets the time of arrival.
    """
    parsed = Parsed()
    try:
        machine, metric = _where(topic)
        parsed.machine = machine
        body = _decode(payload)
        if metric is not None:
            _read_metric(parsed, metric, body, arrived)
        elif isinstance(body, list):
            _read_list(parsed, body, arrived)
        elif isinstance(body, dict):
            _read_row(parsed, body, arrived)
        else:
            parsed.refuse("wrong_shape", "telemetry/<machine> carries an object or a list of objects")
    except _RefusedError as refused:
        parsed.refuse(refused.reason, str(refused))
    return parsed


def _where(topic: str) -> tuple[str, str | None]:
    try:
        if topic.count("/") == 1:
            return TelemetryTopic.parse(topic).machine, None
        where = MetricTopic.parse(topic)
    except BadTopicError as error:
        raise _RefusedError("bad_topic", str(error)) from error
    return where.machine, where.metric


def _decode(payload: bytes) -> Json:
    if not payload:
        raise _RefusedError("empty", "the payload is empty")
    if len(payload) > MAX_BYTES:
        msg = f"{len(payload)} bytes are more than the {MAX_BYTES} a message may have; send smaller lists"
        raise _RefusedError("too_large", msg)
    try:
        body: Json = msgspec.json.decode(payload)
    except RecursionError:
        raise _RefusedError("too_deep", "the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _RefusedError("not_json", f"not JSON: {error}") from None
    return body


def _read_list(parsed: Parsed, rows: list[Json], arrived: datetime) -> None:
    if len(rows) > MAX_ROWS:
        msg = f"{len(rows)} rows are more than the {MAX_ROWS} a list may have; send shorter lists"
        raise _RefusedError("too_many", msg)
    if not rows:
        raise _RefusedError("empty", "the list is empty")
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            _read_row(parsed, row, arrived)
        else:
            parsed.refuse("wrong_shape", f"row {number} of the list is not an object")


def _read_row(parsed: Parsed, row: dict[str, Json], arrived: datetime) -> None:
    try:
        ts = _row_time(row, arrived)
    except _RefusedError as refused:
        parsed.refuse(refused.reason, str(refused))
        return
    taken, before = 0, len(parsed.refusals)
    for name, value in _flatten(parsed, row):
        taken += 1
        if taken > MAX_FIELDS:
            parsed.refuse("too_many", f"only the first {MAX_FIELDS} fields of a message are taken")
            return
        _read_field(parsed, name, value, ts)
    if not taken and len(parsed.refusals) == before:
        parsed.refuse("empty", "the object has no reading in it")


def _read_metric(parsed: Parsed, metric: str, body: Json, arrived: datetime) -> None:
    if isinstance(body, dict):
        if "value" not in body:
            raise _RefusedError("wrong_shape", 'telemetry/<machine>/<metric> needs a "value"')
        ts, value = _row_time(body, arrived), body["value"]
    else:
        ts, value = arrived, body
    if isinstance(value, (dict, list)):
        raise _RefusedError("wrong_shape", "telemetry/<machine>/<metric> carries one number")
    _read_field(parsed, metric, value, ts)


def _flatten(parsed: Parsed, row: dict[str, Json]) -> Iterator[tuple[str, str | float | bool | None]]:
    for name, value in row.items():
        if name in TIME_FIELDS or name in NUMBERING_FIELDS:
            continue
        if isinstance(value, dict):
            for inner, deep in value.items():
                if isinstance(deep, (dict, list)):
                    parsed.refuse(
                        "too_deep", "only one level of nesting is flattened", f"{name}.{inner}"[:64]
                    )
                else:
                    yield f"{name}.{inner}", deep
        elif isinstance(value, list):
            parsed.refuse("not_a_number", "a list is not a reading", name[:64])
        else:
            yield name, value


def _read_field(parsed: Parsed, name: str, value: str | float | bool | None, ts: datetime) -> None:  # noqa: FBT001
    if value is None:
        return
    try:
        check_level("metric", name)
    except BadTopicError as error:
        parsed.refuse("bad_name", str(error), _printable(name))
        return
    if isinstance(value, str):
        _read_text(parsed, name, value, ts)
        return
    number = float(value) if abs(value) <= _LARGEST else math.inf
    if math.isfinite(number):
        parsed.readings.append(Reading(parsed.machine, name, ts, number))
    else:
        parsed.refuse("out_of_range", f"only numbers up to {_LARGEST:g} are taken", name)


def _read_text(parsed: Parsed, name: str, text: str, ts: datetime) -> None:
    if unit_of(name):
        parsed.refuse("not_a_number", f"{name} has a unit, so {text[:40]!a} is not a reading", name)
    elif len(text) > MAX_TEXT or not text.isprintable():
        parsed.refuse("bad_text", f"a state is up to {MAX_TEXT} printable characters", name)
    else:
        parsed.states.append(State(parsed.machine, name, ts, text))


def _row_time(row: dict[str, Json], arrived: datetime) -> datetime:
    for name in TIME_FIELDS:
        if row.get(name) is not None:
            return read_time(row[name], arrived)
    return arrived


def read_time(value: Json, arrived: datetime) -> datetime:
    """Read RFC 3339, or epoch seconds or milliseconds, cut to microseconds, in UTC.

    Raises a ValueError when it is no time, or lies more than 400 days before or 1 day after `arrived`.
    """
    ts = _parse_time(value)
    if not arrived - PAST <= ts <= arrived + FUTURE:
        msg = (
            f"{ts.isoformat()} is outside what is taken as live data: {PAST.days} days back to {FUTURE.days} "
            "day ahead of the time of arrival; set the device's clock, or import old data as history"
        )
        raise _RefusedError("clock", msg)
    return ts


def _parse_time(value: Json) -> datetime:
    if isinstance(value, str):
        try:
            ts = datetime.fromisoformat(value)
        except ValueError:
            msg = f"{value[:40]!a} is not RFC 3339, such as 2026-01-31T16:10:00.250Z"
            raise _RefusedError("bad_time", msg) from None
        if ts.tzinfo is None:
            msg = f"{value[:40]!a} has no time zone; end it with Z or an offset such as +01:00"
            raise _RefusedError("bad_time", msg)
        try:
            return ts.astimezone(UTC)
        except OverflowError:
            raise _RefusedError("clock", "the time lies outside the calendar") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _RefusedError("bad_time", "a time is RFC 3339 text, or epoch seconds or milliseconds")
    try:
        # An integer of JSON may have more digits than a float can hold.
        seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
        return _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise _RefusedError("clock", "the time lies outside the calendar") from None


def _printable(name: str) -> str:
    return ascii(name[:48])[1:-1][:64]
