from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from broker.bus import BusAddress
from detector.config import DetectorConfig, Tuning
from detector.models import TooFewRowsError, WrongModelError
from detector.rows import Rows, shortest_span_s
from detector.store import REFITS_KEPT, ModelStore, Stored, refitted
from detector.training import card, fit, learn, learnable
from detector.verdict import Episode

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)


def rows(count: int = 400, period_s: float = 1.0) -> Rows:
    noise = np.random.default_rng(0).standard_normal((count, 2))
    return Rows(("current_a", "power_kw"), period_s * np.arange(count), noise + 20.0)


def stored(version: str) -> Stored:
    learnt = fit(rows(), Tuning())
    made = card("press-7", version, learnt.model, rows(), NOW)
    return Stored(learnt.model, learnt.facts, made, 400, float(version))


def test_the_newest_version_is_loaded_and_scores_as_it_did(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert store.load("press-7") is None
    for version in ("1", "2", "10"):
        store.save(stored(version))
    loaded = store.load("press-7")
    assert loaded is not None
    assert loaded.card.version == "10"
    assert store.next_version("press-7") == "11"
    assert store.machines() == ["press-7"]
    np.testing.assert_array_equal(loaded.model.score(rows()), stored("1").model.score(rows()))
    assert loaded.card == stored("10").card


def test_arrays_that_were_changed_on_disk_are_refused(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.save(stored("1"))
    path = tmp_path / "press-7" / "1" / "arrays.bin"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(WrongModelError, match="not what was stored"):
        store.load("press-7")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"format":2', b'"format":9', "cannot run"),
        (b'"kind":"residual","sha', b'"kind":"oracle","sha', "cannot run"),
        (b'"features":["residual.current_a.mean"', b'"features":["else"', "other features"),
        (b'{"format"', b"{", "cannot be read"),
    ],
)
def test_a_model_this_version_cannot_run_is_refused(
    tmp_path: Path, old: bytes, new: bytes, said: str
) -> None:
    store = ModelStore(tmp_path)
    store.save(stored("1"))
    path = tmp_path / "press-7" / "1" / "model.json"
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(WrongModelError, match=said):
        store.load("press-7")


def test_nothing_is_left_of_a_model_that_could_not_be_stored(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.save(stored("1"))
    with pytest.raises(OSError, match="not empty"):
        store.save(stored("1"))
    assert sorted(path.name for path in (tmp_path / "press-7").iterdir()) == ["1"]


def test_refits_are_kept_with_the_time_they_serve_from_and_the_oldest_go(tmp_path: Path) -> None:
    store, first = ModelStore(tmp_path), stored("1")
    store.save(first)
    for number in range(1, REFITS_KEPT + 4):
        store.save(refitted(first, first.model, number, 100.0 * number), rows(300 + number))
    newest, earlier = store.load("press-7"), store.load("press-7", before_s=1_050.0)
    assert newest is not None
    assert earlier is not None
    assert (newest.refits, earlier.refits, earlier.from_s) == (REFITS_KEPT + 3, 10, 1_000.0)
    oldest = store.load("press-7", before_s=350.0)
    assert oldest is not None
    assert oldest.refits == 0, "the first three are gone"
    assert store.next_version("press-7") == "2"
    remembered = store.memory("press-7", first.model.metrics)
    assert len(remembered) == 300 + REFITS_KEPT + 3
    np.testing.assert_allclose(remembered.values, rows(len(remembered)).values, rtol=1e-6)


def test_a_memory_that_is_lost_is_empty(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert len(store.memory("press-7", ("a", "b"))) == 0
    store.save(stored("1"), rows())
    assert len(store.memory("press-7", ("a", "b", "c"))) == 0


def test_the_mark_is_kept(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert store.mark() is None
    store.keep_mark(5.5)
    assert ModelStore(tmp_path).mark() == 5.5
    assert store.machines() == []


def test_an_open_episode_is_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    episode = Episode("id", "power_kw", 5.0, 2.0, 6.0, "warning", 0.5, 0.1)
    store.keep_episode("press-7", episode, 7.0)
    assert ModelStore(tmp_path).episode("press-7") == (episode, 7.0)
    store.keep_episode("press-7", None, 8.0)
    assert store.episode("press-7") is None


def test_rows_of_episodes_and_the_most_recent_ones_are_not_learnt() -> None:
    past, window_s = rows(2000), shortest_span_s(1.0, Tuning())
    may = learnable(past, ((500.0, 600.0),), 300, Tuning())
    assert may.ts_s.max() == 1999.0 - Tuning().left_out_windows * window_s
    assert not ((may.ts_s >= 500.0 - window_s) & (may.ts_s <= 600.0)).any()
    assert len(may) == may.ts_s.max() + 1 - (101 + window_s)


def test_a_young_machine_learns_from_its_first_rows() -> None:
    assert len(learnable(rows(310), (), 300, Tuning())) == 300


def test_too_little_past_is_said_with_figures() -> None:
    config = DetectorConfig(
        bus=BusAddress("localhost", 1),
        password="",
        live_password="",
        api_url="",
        api_token="",
        store=Path(),
        outbox=Path(),
    )
    with pytest.raises(TooFewRowsError, match="100 rows may be learnt from; it takes 300 over 60 s"):
        learn(rows(100), config)
    with pytest.raises(TooFewRowsError, match="over 60 s"):
        learn(rows(400, period_s=0.1), config)
