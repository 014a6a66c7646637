from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from broker.bus import BusAddress
from detector.config import DetectorConfig, Tuning
from detector.models import ResidualModel, TooFewRowsError, WrongModelError
from detector.rows import Rows
from detector.store import ModelStore, Stored
from detector.training import card, learn, learnable
from detector.verdict import Episode

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)


def rows(count: int = 400, period_s: float = 1.0) -> Rows:
    noise = np.random.default_rng(0).standard_normal((count, 2))
    return Rows(("current_a", "power_kw"), period_s * np.arange(count), noise + 20.0)


def stored(version: str) -> Stored:
    model = ResidualModel.learn(rows(), Tuning())
    return Stored(model, card("press-7", version, model, rows(), NOW), 400)


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
    path = tmp_path / "press-7" / "1" / "arrays.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(WrongModelError, match="not what was stored"):
        store.load("press-7")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"format":1', b'"format":9', "cannot run"),
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


def test_an_open_episode_is_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    episode = Episode("id", "power_kw", 5.0, 2.0, 6.0, "warning", 0.5, 0.1)
    store.keep_episode("press-7", episode, 7.0)
    assert ModelStore(tmp_path).episode("press-7") == (episode, 7.0)
    store.keep_episode("press-7", None, 8.0)
    assert store.episode("press-7") is None


def test_rows_of_episodes_and_the_most_recent_ones_are_not_learnt() -> None:
    past = rows(2000)
    may = learnable(past, ((500.0, 600.0),), 300, Tuning())
    assert may.ts_s.max() == 1699.0
    assert not ((may.ts_s >= 470.0) & (may.ts_s <= 600.0)).any()
    assert len(may) == 1700 - 131


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
