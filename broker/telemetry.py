"""What devices really send, read without trust: rows, states, and what had to be refused.

A message is an object of numbers by metric, a list of those, or on a metric's own topic a bare number
or `{"ts": …, "value": …}`. Booleans are 1 and 0, null is no reading, one level of nesting is flattened
with a dot, a text is a state unless the name carries a unit. What cannot be taken is refused by itself
and the rest of the message is kept.

Nearly every message is one flat object of numbers with the same names as the one before. Those are read
here, by the shape learnt once; whatever differs goes to `broker.careful`, which decides what is right.
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import msgspec

from broker import careful
from broker.careful import (
    FUTURE,
    LARGEST,
    MAX_BYTES,
    MAX_FIELDS,
    MAX_ROWS,
    MAX_TEXT,
    PAST,
    TIME_FIELDS,
    Json,
    RefusedError,
    read_time,
)
from broker.numbering import CLIENT_FIELD, NUMBERING_FIELDS, Number, number_of
from broker.rows import Parsed, Reading, Refusal, Row, State
from broker.topics import BadTopicError

__all__ = [
    "FUTURE",
    "MAX_BYTES",
    "MAX_FIELDS",
    "MAX_ROWS",
    "MAX_TEXT",
    "NUMBERING_FIELDS",
    "PAST",
    "TIME_FIELDS",
    "Number",
    "Parsed",
    "Reading",
    "Refusal",
    "Row",
    "State",
    "number_of",
    "read",
    "read_time",
]

MAX_TOPICS: Final = 65_536
MAX_SHAPES: Final = 4096
MAX_SHAPE_NAMES: Final = 100_000
"""Names in all shapes together: what shapes of the longest names may hold of memory."""

_FLOATS: Final = frozenset((float,))
_NUMBERS: Final = frozenset((float, int))
_decode: Final = msgspec.json.Decoder().decode


class _Shape(msgspec.Struct, frozen=True):
    """An object's names, known to be sound: which is the time, which are metrics."""

    time: str | None
    metrics: tuple[str, ...]
    pick: Callable[[dict[str, Json]], Any]
    numbered: bool


_Texts = tuple[tuple[str, str], ...]
_Apart = tuple[tuple[str, ...], tuple[Any, ...], _Texts]
_shapes: dict[tuple[str, ...], _Shape] = {}
_shape_names = 0


def read(topic: str, payload: bytes, arrived: datetime) -> Parsed:
    """Read one telemetry message; `topic` is relative to the root, `arrived` is aware.

    Never raises: what is wrong is in `refusals`. A message without a time gets the time of arrival.
    """
    try:
        machine, own = _where(topic)
        body: Json = _decode(payload) if len(payload) <= MAX_BYTES else careful.decode(payload)
    except (RefusedError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return careful.read(topic, payload, arrived)
    parsed = Parsed(machine, [], [], [], [])
    try:
        if own is None and type(body) is dict:
            _take_object(parsed, body, arrived)
        elif own is None and type(body) is list:
            careful.check_length(body)
            for number, row in enumerate(body):
                if type(row) is dict:
                    _take_object(parsed, row, arrived)
                else:
                    careful.take_element(parsed, number, row, arrived)
        elif own is None or not _take_own(parsed, own, body, arrived):
            careful.take(parsed, own and own[0], body, arrived)
    except RefusedError as refused:
        parsed.refuse(refused.reason, str(refused))
    return parsed


@lru_cache(maxsize=MAX_TOPICS)
def _where(topic: str) -> tuple[str, tuple[str] | None]:
    """Return the machine, and the metric on its own topic. Topics that are refused are not remembered."""
    machine, metric = careful.where(topic)
    return machine, None if metric is None else (metric,)


def _take_object(parsed: Parsed, fields: dict[str, Json], arrived: datetime) -> None:
    """Take one object; `parsed` is left as it was until everything about the object is known to be plain."""
    names = tuple(fields)
    shape = _shapes.get(names) or _learn(names)
    if shape is None:
        careful.take_row(parsed, fields, arrived)
        return
    metrics, values = shape.metrics, shape.pick(fields)
    kinds = set(map(type, values))
    texts: _Texts = ()
    if str in kinds:
        metrics, values, texts = _apart(metrics, values)
        kinds.discard(str)
    if not (kinds <= _NUMBERS and values and min(values) >= -LARGEST and max(values) <= LARGEST):
        careful.take_row(parsed, fields, arrived)
        return
    ts = arrived
    if shape.time is not None:
        try:
            ts = read_time(fields[shape.time], arrived)
        except RefusedError:  # or there is none: null
            careful.take_row(parsed, fields, arrived)
            return
    if kinds != _FLOATS:
        values = tuple(map(float, values))
    if shape.numbered:
        careful.take_number(parsed, fields)
    if ts is arrived:
        parsed.untimed = True
    for name, text in texts:
        careful.take_text(parsed, name, text, ts, arrived)
    parsed.rows.append(Row(parsed.machine, ts, arrived, metrics, values))


def _apart(names: tuple[str, ...], values: tuple[Any, ...]) -> _Apart:
    """Return the names and values that are no text, and the texts by name."""
    named = list(zip(names, values, strict=True))
    others = [one for one in named if type(one[1]) is not str]
    texts = tuple(one for one in named if type(one[1]) is str)
    return tuple([name for name, _ in others]), tuple([value for _, value in others]), texts


def _take_own(parsed: Parsed, own: tuple[str], body: Json, arrived: datetime) -> bool:
    """Take what a metric's own topic carries; whether it was something plain."""
    ts, value = arrived, body
    if type(body) is dict:
        if "seq" in body or "value" not in body:
            return False
        ts, value = careful.row_time(body, arrived), body["value"]
    if not (type(value) is float or type(value) is int) or not -LARGEST <= value <= LARGEST:
        return False
    parsed.untimed = ts is arrived
    parsed.rows.append(Row(parsed.machine, ts, arrived, own, (float(value),)))
    return True


def _learn(names: tuple[str, ...]) -> _Shape | None:
    """Return the shape of an object with these names, None where it needs care."""
    global _shape_names  # noqa: PLW0603
    times = [name for name in names if name in TIME_FIELDS]
    numbering = [name for name in names if name in NUMBERING_FIELDS]
    metrics = tuple(name for name in names if name not in times and name not in numbering)
    if len(times) > 1 or not 1 <= len(metrics) <= MAX_FIELDS or (numbering and CLIENT_FIELD in metrics):
        return None
    try:
        for name in metrics:
            careful.check_metric(name)
    except BadTopicError:
        return None
    if len(_shapes) >= MAX_SHAPES or _shape_names > MAX_SHAPE_NAMES:
        _shapes.clear()
        _shape_names = 0
    _shape_names += len(names)
    shape = _Shape(times[0] if times else None, metrics, _picker(metrics), bool(numbering))
    _shapes[names] = shape
    return shape


def _picker(names: tuple[str, ...]) -> Callable[[dict[str, Json]], Any]:
    if len(names) > 1:
        return itemgetter(*names)
    (only,) = names
    return lambda fields: (fields[only],)
