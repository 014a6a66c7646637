from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.bus import BusAddress
from broker.channels import TELEMETRY
from broker.topics import TelemetryTopic
from devices.factory import Row
from devices.sending import Tick, bodies, telemetry
from devices.simulator import PAST_MESSAGES, SimulatorConfig, Timeline

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def tick(number: int) -> Tick:
    row = Row(NOW + timedelta(seconds=number), {"power_kw": float(number)}, {"operating_mode": "idle"})
    return {"pump-1": row, "oven-1": row}


def config(**options: float | timedelta) -> SimulatorConfig:
    return SimulatorConfig(bus=BusAddress("127.0.0.1", 1), password="x", outbox=Path("x"), **options)  # type: ignore[arg-type]


def test_one_tick_is_an_object_a_machine_and_more_are_lists() -> None:
    body = {"ts": NOW, "power_kw": 0.0, "operating_mode": "idle"}
    assert list(bodies([tick(0)])) == [("pump-1", body), ("oven-1", body)]
    for _, rows in bodies([tick(0), tick(1)]):
        assert isinstance(rows, list)
        assert [row["power_kw"] for row in rows] == [0.0, 1.0]


def test_a_body_is_telemetry_of_its_machine_with_a_time_of_its_own() -> None:
    (first, _) = telemetry(bodies([tick(0)]))
    text = b'{"ts":"2026-03-02T09:00:00.000Z","power_kw":0.0,"operating_mode":"idle"}'
    assert first == (TELEMETRY, TelemetryTopic("pump-1"), text)


def test_the_factory_lives_faster_only_from_its_origin_on() -> None:
    timeline = Timeline(NOW, 60.0)
    assert timeline.factory_time(NOW - timedelta(days=1)) == NOW - timedelta(days=1)
    assert timeline.factory_time(NOW + timedelta(minutes=2)) == NOW + timedelta(hours=2)


def test_an_hour_is_kept_but_not_of_ten_thousand_machines() -> None:
    assert config(machines=100).kept.rows == 300_000
    assert config(machines=20).kept.rows == 72_000
    assert config(machines=10_000).kept.rows == 300_000
    assert config(machines=1).kept.rows == PAST_MESSAGES, "room for the past, whose messages are lists"


@pytest.mark.parametrize(
    "wrong", [{"period_s": 0.0}, {"speed": -1.0}, {"backfill": timedelta(seconds=-1)}], ids=str
)
def test_figures_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"above 0|reaches into the past"):
        config(**wrong)
