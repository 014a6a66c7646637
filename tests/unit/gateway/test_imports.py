"""An import's body, read without trust: what is taken, what is refused, and that nothing makes it fail."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.imports import BadImportError, read_import

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
TS = "2020-01-01T00:00:00Z"
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("a1é"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=5,
)


def read(**columns: Any) -> Any:
    (found,) = read_import(msgspec.json.encode({"machine": "press-7", **columns}), NOW)
    return found


def test_a_row_has_the_metrics_that_have_a_number_then() -> None:
    found = read(ts=[TS, TS, TS], metrics={"a": [1, None, None], "b": [True, 2.5, None]})
    assert [(row.metrics, row.values) for row in found.rows] == [(("a", "b"), (1.0, 1.0)), (("b",), (2.5,))]
    assert found.refusals == []


@pytest.mark.parametrize(
    ("value", "reason"), [("1", "not_a_number"), ({}, "not_a_number"), (1e301, "out_of_range")]
)
def test_a_cell_that_is_no_number_is_refused_alone(value: Any, reason: str) -> None:
    found = read(ts=[TS, TS], metrics={"a": [value, 1], "b": [2, 3]})
    assert [row.metrics for row in found.rows] == [("b",), ("a", "b")]
    assert [(one.reason, one.field) for one in found.refusals] == [(reason, "a")]


@pytest.mark.parametrize(
    ("ts", "arrived", "taken"),
    [
        ("2000-01-01T00:00:00Z", None, True),
        ("1999-12-31T23:59:59Z", None, False),
        (NOW + timedelta(days=1), None, True),
        (NOW + timedelta(days=1, seconds=1), None, False),
        (TS, "2020-01-01T00:00:05Z", True),
        (TS, "2019-12-01T00:00:00Z", False),
        (TS, NOW + timedelta(seconds=1), False),
        (TS, "soon", False),
        (1577836800, 1577836800001, True),
        (None, None, False),
    ],
)
def test_times_lie_between_2000_and_a_day_after_they_arrived(ts: Any, arrived: Any, taken: bool) -> None:  # noqa: FBT001
    found = read(ts=[ts], metrics={"a": [1]}, arrived=[arrived])
    assert len(found.rows) == taken
    assert len(found.refusals) == (not taken)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["machine", "ts", "metrics", "arrived", "units"]), JSON))
def test_no_body_is_a_fault(body: dict[str, Any]) -> None:
    with suppress(BadImportError):
        read_import(msgspec.json.encode(body), NOW)


@settings(deadline=None)
@given(st.lists(JSON, min_size=1, max_size=4), st.lists(JSON, min_size=1, max_size=4))
def test_each_cell_is_a_reading_or_refused_or_none(times: list[Any], cells: list[Any]) -> None:
    count = min(len(times), len(cells))
    found = read(ts=times[:count], metrics={"a": cells[:count]})
    readings = sum(len(row.metrics) for row in found.rows)
    assert readings + len(found.refusals) >= sum(cell is not None for cell in cells[:count])
    assert readings <= count
