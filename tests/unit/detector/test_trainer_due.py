"""When history is looked at: soon enough, and not for ever."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.bus import BusAddress
from detector.config import DetectorConfig
from detector.fleet import Fleet
from detector.history import HistoryClient
from detector.live import MachineLive
from detector.store import ModelStore
from detector.trainer import Trainer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WANTED = 400


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    config = DetectorConfig(
        bus=BusAddress("127.0.0.1", 1),
        password="",
        live_password="",
        api_url="http://127.0.0.1:1",
        api_token="",
        store=tmp_path,
        outbox=tmp_path / "outbox.db",
        train_rows=WANTED,
    )
    history = HistoryClient(config.api_url, config.api_token)
    fleet = Fleet(config.tuning, refit_at_once=False)
    return Trainer(config, ModelStore(tmp_path), fleet, history, lambda _: None, lambda _: None)


def looks(trainer: Trainer, live: MachineLive, stored: dict[float, int], seconds: int) -> list[float]:
    """When history is looked at in so many seconds; `stored` is how many rows it has from a second on."""
    found = []
    for second in range(seconds):
        now = NOW + timedelta(seconds=second)
        if trainer.due(live, now):
            found.append(float(second))
            rows = max(count for since, count in stored.items() if since <= second)
            if trainer.counted(live, rows, now):
                live.trained_rows = rows
                break
    return found


def test_rows_that_came_before_we_listened_are_found_soon(trainer: Trainer) -> None:
    live = MachineLive("m", "m", seen=100)
    found = looks(trainer, live, {0: 250, 1: WANTED}, 3600)
    assert live.trained_rows == WANTED
    assert found[-1] <= 2


def test_a_machine_that_stays_short_of_rows_is_asked_a_few_times_and_then_left(trainer: Trainer) -> None:
    live = MachineLive("m", "m", seen=5)
    assert len(looks(trainer, live, {0: 5}, 24 * 3600)) <= 8


def test_doubled_rows_are_not_asked_for_again_and_again(trainer: Trainer) -> None:
    live = MachineLive("m", "m", seen=2 * WANTED)
    assert len(looks(trainer, live, {0: 200}, 24 * 3600)) <= 9


def test_enough_rows_seen_are_looked_for_at_once_however_long_it_took(trainer: Trainer) -> None:
    live = MachineLive("m", "m", seen=0)
    assert looks(trainer, live, {0: 0}, 3600)
    live.seen = WANTED
    assert trainer.due(live, NOW + timedelta(hours=1))


def test_nothing_is_trained_while_a_past_is_being_delivered(trainer: Trainer) -> None:
    live = MachineLive("m", "m", seen=WANTED, late_at_s=NOW.timestamp())
    assert not trainer.due(live, NOW + timedelta(seconds=5))
    assert trainer.due(live, NOW + timedelta(seconds=11))
