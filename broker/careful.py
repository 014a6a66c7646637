"""Any message of telemetry read field by field, however odd: what `broker.telemetry` falls back on."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from broker.numbering import CLIENT_FIELD, NUMBERING_FIELDS, number_in
from broker.rows import Parsed, Row, State
from broker.topics import BadTopicError, MetricTopic, TelemetryTopic, check_level
from broker.units import unit_of

MAX_BYTES: Final = 256 * 1024
MAX_FIELDS: Final = 256
MAX_ROWS: Final = 5000
MAX_TEXT: Final = 256
LARGEST: Final = 1e300
"""A sum of a year of them stays finite."""
PAST: Final = timedelta(days=400)
FUTURE: Final = timedelta(days=1)
TIME_FIELDS: Final = ("ts", "timestamp", "time")

_MILLISECONDS_FROM: Final = 1e11  # as seconds this is the year 5138, as milliseconds 1973
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_READ: Final = frozenset((*TIME_FIELDS, *NUMBERING_FIELDS))

Json = dict[str, "Json"] | list["Json"] | str | float | int | bool | None


class RefusedError(ValueError):
    """Nothing of a message, or of a row of it, can be taken. `reason` is one of a few words for counting."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def read(topic: str, payload: bytes, arrived: datetime) -> Parsed:
    """Read one message as `broker.telemetry.read` does, without its short cuts."""
    parsed = Parsed()
    try:
        parsed.machine, metric = where(topic)
        take(parsed, metric, decode(payload), arrived)
    except RefusedError as refused:
        parsed.refuse(refused.reason, str(refused))
    return parsed


def where(topic: str) -> tuple[str, str | None]:
    """Return the machine and, on a metric's own topic, the metric. Raises RefusedError."""
    try:
        if topic.count("/") == 1:
            return TelemetryTopic.parse(topic).machine, None
        found = MetricTopic.parse(topic)
    except BadTopicError as error:
        raise RefusedError("bad_topic", str(error)) from error
    return found.machine, found.metric


def decode(payload: bytes) -> Json:
    """Return the JSON of a payload. Raises RefusedError."""
    if not payload:
        raise RefusedError("empty", "the payload is empty")
    if len(payload) > MAX_BYTES:
        msg = f"{len(payload)} bytes are more than the {MAX_BYTES} a message may have; send smaller lists"
        raise RefusedError("too_large", msg)
    try:
        body: Json = msgspec.json.decode(payload)
    except RecursionError:
        raise RefusedError("too_deep", "the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError("not_json", f"not JSON: {error}") from None
    return body


def take(parsed: Parsed, metric: str | None, body: Json, arrived: datetime) -> None:
    """Put into `parsed` what `body` holds. Raises RefusedError where it is of no shape we know."""
    if metric is not None:
        _take_metric(parsed, metric, body, arrived)
    elif isinstance(body, list):
        check_length(body)
        for number, row in enumerate(body):
            take_element(parsed, number, row, arrived)
    elif isinstance(body, dict):
        take_row(parsed, body, arrived)
    else:
        raise RefusedError("wrong_shape", "telemetry/<machine> carries an object or a list of objects")


def check_length(rows: list[Json]) -> None:
    """Raise RefusedError where a list is longer than is taken, or empty."""
    if len(rows) > MAX_ROWS:
        msg = f"{len(rows)} rows are more than the {MAX_ROWS} a list may have; send shorter lists"
        raise RefusedError("too_many", msg)
    if not rows:
        raise RefusedError("empty", "the list is empty")


def take_element(parsed: Parsed, number: int, row: Json, arrived: datetime) -> None:
    """Put into `parsed` what the element `number` of a list holds."""
    if isinstance(row, dict):
        take_row(parsed, row, arrived)
    else:
        parsed.refuse("wrong_shape", f"row {number} of the list is not an object")


def take_row(parsed: Parsed, fields: dict[str, Json], arrived: datetime) -> None:
    """Put into `parsed` what one object holds: at most one row, its states, its number, its refusals."""
    take_number(parsed, fields)
    try:
        ts = row_time(fields, arrived)
    except RefusedError as refused:
        parsed.refuse(refused.reason, str(refused))
        return
    taken, before, numbers = 0, len(parsed.refusals), dict[str, float]()
    for name, value in _flatten(parsed, fields):
        taken += 1
        if taken > MAX_FIELDS:
            parsed.refuse("too_many", f"only the first {MAX_FIELDS} fields of a message are taken")
            break
        _take_field(parsed, numbers, name, value, ts, arrived)
    if not taken and len(parsed.refusals) == before:
        parsed.refuse("empty", "the object has no reading in it")
    _add_row(parsed, numbers, ts, arrived)


def _take_metric(parsed: Parsed, metric: str, body: Json, arrived: datetime) -> None:
    if isinstance(body, dict):
        take_number(parsed, body)
        if "value" not in body:
            raise RefusedError("wrong_shape", 'telemetry/<machine>/<metric> needs a "value"')
        ts, value = row_time(body, arrived), body["value"]
    else:
        ts, value = arrived, body
    if isinstance(value, (dict, list)):
        raise RefusedError("wrong_shape", "telemetry/<machine>/<metric> carries one number")
    numbers: dict[str, float] = {}
    _take_field(parsed, numbers, metric, value, ts, arrived)
    _add_row(parsed, numbers, ts, arrived)


def _add_row(parsed: Parsed, numbers: dict[str, float], ts: datetime, arrived: datetime) -> None:
    if numbers:
        parsed.rows.append(Row(parsed.machine, ts, arrived, tuple(numbers), tuple(numbers.values())))
        parsed.untimed |= ts is arrived


def take_number(parsed: Parsed, fields: dict[str, Json]) -> None:
    """Put the number an object gives its message into `parsed`, where it gives one."""
    number = number_in(fields, parsed.machine)
    if number is not None:
        parsed.numbers.append(number)


def _flatten(parsed: Parsed, fields: dict[str, Json]) -> Iterator[tuple[str, str | float | bool | None]]:
    numbered = all(name in fields for name in NUMBERING_FIELDS)
    for name, value in fields.items():
        if name in _NOT_READ or (numbered and name == CLIENT_FIELD):
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


@lru_cache(maxsize=16_384)
def check_metric(name: str) -> None:
    """Raise BadTopicError where a metric may not be called `name`; good names alone are remembered."""
    check_level("metric", name)


def _take_field(
    parsed: Parsed,
    numbers: dict[str, float],
    name: str,
    value: str | float | bool | None,  # noqa: FBT001
    ts: datetime,
    arrived: datetime,
) -> None:
    if value is None:
        return
    try:
        check_metric(name)
    except BadTopicError as error:
        parsed.refuse("bad_name", str(error), _printable(name))
        return
    if isinstance(value, str):
        take_text(parsed, name, value, ts, arrived)
        return
    number = float(value) if abs(value) <= LARGEST else math.inf
    if math.isfinite(number):
        # A name that nesting makes a second time is the same reading twice: the first one stands.
        numbers.setdefault(name, number)
    else:
        parsed.refuse("out_of_range", f"only numbers up to {LARGEST:g} are taken", name)


def take_text(parsed: Parsed, name: str, text: str, ts: datetime, arrived: datetime) -> None:
    """Put the text of a field into `parsed`, as a state where it may be one."""
    if _has_unit(name):
        parsed.refuse("not_a_number", f"{name} has a unit, so {text[:40]!a} is not a reading", name)
    elif len(text) > MAX_TEXT or not text.isprintable():
        parsed.refuse("bad_text", f"a state is up to {MAX_TEXT} printable characters", name)
    else:
        parsed.states.append(State(parsed.machine, name, ts, text))
        parsed.untimed |= ts is arrived


@lru_cache(maxsize=16_384)
def _has_unit(name: str) -> bool:
    return bool(unit_of(name))


def row_time(fields: dict[str, Json], arrived: datetime) -> datetime:
    """Return the time an object gives, or the very `arrived` where it gives none. Raises RefusedError."""
    for name in TIME_FIELDS:
        if fields.get(name) is not None:
            return read_time(fields[name], arrived)
    return arrived


def read_time(value: Json, arrived: datetime) -> datetime:
    """Read RFC 3339, or epoch seconds or milliseconds, cut to microseconds, in UTC.

    Raises a ValueError when it is no time, or lies more than 400 days before or 1 day after `arrived`.
    """
    ts = parse_time(value)
    if not -PAST <= ts - arrived <= FUTURE:
        msg = (
            f"{ts.isoformat()} is outside what is taken as live data: {PAST.days} days back to {FUTURE.days} "
            "day ahead of the time of arrival; set the device's clock, or import old data as history"
        )
        raise RefusedError("clock", msg)
    return ts


def parse_time(value: Json) -> datetime:
    """Read RFC 3339, or epoch seconds or milliseconds, in UTC, however long ago. Raises RefusedError."""
    if isinstance(value, str):
        try:
            ts = datetime.fromisoformat(value)
        except ValueError:
            msg = f"{value[:40]!a} is not RFC 3339, such as 2026-01-31T16:10:00.250Z"
            raise RefusedError("bad_time", msg) from None
        if ts.tzinfo is UTC:
            return ts
        if ts.tzinfo is None:
            msg = f"{value[:40]!a} has no time zone; end it with Z or an offset such as +01:00"
            raise RefusedError("bad_time", msg)
        try:
            return ts.astimezone(UTC)
        except OverflowError:
            raise RefusedError("clock", "the time lies outside the calendar") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RefusedError("bad_time", "a time is RFC 3339 text, or epoch seconds or milliseconds")
    try:
        # An integer of JSON may have more digits than a float can hold.
        seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
        return _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise RefusedError("clock", "the time lies outside the calendar") from None


def _printable(name: str) -> str:
    return ascii(name[:48])[1:-1][:64]
