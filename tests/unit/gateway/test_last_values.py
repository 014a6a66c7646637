"""The last values of one machine, kept as rows."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from broker.messages import LatestValue
from broker.telemetry import Row, State
from gateway.last_values import MAX_HELD, LastValues

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
METRICS = tuple(f"m{number}" for number in range(MAX_HELD + 8))


def at(second: int) -> datetime:
    return NOW + timedelta(seconds=second)


def row(second: int, *metrics: str, value: float = 0.0) -> Row:
    return Row("press-7", at(second), NOW, metrics, tuple(value for _ in metrics))


rows = st.builds(
    lambda second, metrics, value: row(second, *metrics, value=value),
    st.integers(0, 6),
    st.lists(st.sampled_from(METRICS), min_size=1, max_size=3, unique=True),
    st.floats(0, 1),
)
states = st.builds(
    lambda second, field, text: State("press-7", field, at(second), text),
    st.integers(0, 6),
    st.sampled_from([*METRICS[:3], "mode"]),
    st.sampled_from(["run", "idle"]),
)


@given(st.lists(rows | states, max_size=80), st.sets(st.integers(0, 80)))
def test_it_equals_a_table_of_single_values_whenever_it_is_asked(
    taken: list[Row | State], asked: set[int]
) -> None:
    restored = {"m0": LatestValue(ts=at(3), value=-1.0), "gone": LatestValue(ts=at(1), value="x")}
    kept, table = LastValues(restored), dict(restored)
    for number, one in enumerate(taken):
        kept.take(one)
        named = zip(one.metrics, one.values, strict=True) if isinstance(one, Row) else [(one.field, one.text)]
        for name, value in named:
            if name not in table or table[name].ts <= one.ts:
                table[name] = LatestValue(ts=one.ts, value=value)
        if number in asked:
            assert kept.all() == table
    assert kept.all() == table


def test_what_is_older_than_its_kind_is_not_taken() -> None:
    kept = LastValues()
    assert kept.take(row(5, "a", "b"))
    assert not kept.take(row(4, "a", "b"))
    assert kept.take(row(5, "a", "b", value=1.0))
    assert kept.holds(("a", "b"))
    assert not kept.holds(("a",))
    assert {name: one.value for name, one in kept.all().items()} == {"a": 1.0, "b": 1.0}


def test_what_was_handed_out_does_not_change_later() -> None:
    kept = LastValues()
    kept.take(row(1, "a"))
    before = kept.all()
    kept.take(row(2, "a", value=7.0))
    assert before["a"].value == 0.0
    assert kept.all()["a"].value == 7.0
