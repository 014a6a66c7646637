"""What the flow says for an event, run outside Node-RED: quick, and over every case."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from broker.units import UNITS

HERE = Path(__file__).parent
FLOW = HERE.parents[1] / "flows" / "anomaly-to-message.json"
NODE = shutil.which("node", path=str(Path(sys.executable).parent)) or "node"

Json = dict[str, Any]


def event(**changes: object) -> Json:
    return {
        "anomaly_id": "a-1",
        "phase": "opened",
        "machine": "compressor-1",
        "machine_name": "Compressor 1",
        "metric": "power_kw",
        "value": 41.2,
        "expected": 35.0,
        "deviation": {"absolute": 6.2, "sigma": 5.1, "pct": 17.7},
        "severity": "warning",
        "started_at": "2026-11-21T16:10:00.000Z",
        "duration_s": 30.0,
        "ts": "2026-11-21T16:10:30.000Z",
    } | changes


def call(name: str, *messages: Json, context: Json, zone: str = "UTC") -> Json:
    """Run a function node over messages: what it returned for each, and its context afterwards."""
    asked = {"env": {"TIME_ZONE": zone}, "context": context, "messages": messages}
    done = subprocess.run(
        [NODE, HERE / "run_function.mjs", FLOW, name],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    answer: Json = json.loads(done.stdout)
    return answer


def run(*events: Json, unit: str = "kW", zone: str = "UTC") -> list[tuple[bool, str]]:
    """Return for each event whether people are told, and the sentence."""
    messages = [{"topic": "enms/anomaly/compressor-1", "payload": one} for one in events]
    units = {one["machine"]: {one["metric"]: unit} for one in events}
    answer = call("sentence", *messages, context={"units": units}, zone=zone)
    return [(told is not None, every["payload"]) for told, every in answer["returned"]]


def sentence(*, unit: str = "kW", zone: str = "UTC", **changes: object) -> str:
    return run(event(**changes), unit=unit, zone=zone)[0][1]


def test_an_opened_anomaly_is_said_in_words() -> None:
    said = sentence()
    assert said == "Compressor 1: power is 41.2 kW, expected 35.0 kW (+18 %), since 16:10, warning"


def test_a_closed_anomaly_says_how_long_it_was_and_what_it_cost() -> None:
    said = sentence(phase="closed", duration_s=725.0, excess_kwh=1.24)
    assert said == ("Compressor 1: power is as expected again, after 12 min (since 16:10, 1.2 kWh too much)")


def test_a_deviation_without_a_percentage_leaves_it_out() -> None:
    said = sentence(value=2.5, expected=0.0, deviation={"absolute": 2.5, "sigma": 9.0})
    assert said == "Compressor 1: power is 2.50 kW, expected 0.00 kW, since 16:10, warning"


def test_what_is_too_low_has_a_minus() -> None:
    said = sentence(value=5.0, deviation={"absolute": -30.0, "sigma": -9.0, "pct": -85.7})
    assert "is 5.0 kW, expected 35.0 kW (-86 %)" in said


def test_the_time_zone_is_the_reader_s() -> None:
    assert "since 17:10," in sentence(zone="Europe/Vienna")


def test_another_day_is_named() -> None:
    assert "since 20 Nov 16:10," in sentence(started_at="2026-11-20T16:10:00.000Z")


def test_a_unit_nobody_knows_is_left_out() -> None:
    assert "vibration index is 41.2, expected 35.0 (" in sentence(unit="", metric="vibration_index")


@pytest.mark.parametrize("values", [(0.0, 0.0), (1e9, 1e9), (0.00012, 0.0001)])
def test_any_size_of_value_makes_a_sentence(values: tuple[float, float]) -> None:
    said = sentence(value=values[0], expected=values[1])
    assert "NaN" not in said
    assert "undefined" not in said


def test_every_unit_s_ending_is_taken_off_the_spoken_name() -> None:
    units = {f"main_flow{ending}": unit for ending, unit in UNITS.items()}
    messages = [{"topic": "x", "payload": event(metric=metric)} for metric in units]
    answer = call("sentence", *messages, context={"units": {"compressor-1": units}})
    spoken = [every["payload"].partition(" is ")[0] for _, every in answer["returned"]]
    assert spoken == ["Compressor 1: main flow"] * len(UNITS)


def test_people_are_told_each_change_once() -> None:
    told = run(
        event(),
        event(),
        event(phase="updated"),
        event(phase="updated", severity="critical"),
        event(phase="closed"),
        event(phase="closed"),
        event(phase="updated"),
        event(anomaly_id="a-2"),
    )
    assert [news for news, _ in told] == [True, False, False, True, True, False, False, True]


def test_what_was_told_is_remembered_within_a_bound() -> None:
    messages = [{"topic": "x", "payload": event(anomaly_id=f"a-{n}")} for n in range(1100)]
    assert len(call("sentence", *messages, context={})["context"]["told"]) == 1000


def test_the_unit_comes_from_the_machine_and_goes_with_it() -> None:
    topic = "enms/machine/compressor-1"
    known = {"topic": topic, "payload": json.dumps({"metrics": {"power_kw": {"unit": "kW"}}})}
    gone = {"topic": topic, "payload": ""}
    assert call("remember units", known, context={})["context"] == {
        "units": {"compressor-1": {"power_kw": "kW"}}
    }
    assert call("remember units", known, gone, context={})["context"] == {"units": {}}
