"""Settings: read once, refused with a reason where they cannot be."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from enms.settings import Settings, default_data_dir


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ENMS_{name.upper()}", raising=False)


@pytest.mark.parametrize("root", ["enms", "acme/chicago/enms", "a b", "é"])
def test_a_root_is_one_or_more_levels(root: str) -> None:
    assert Settings.read(root=root).root == root
    assert Settings.read(root=root).bus.root == root


@pytest.mark.parametrize(
    "root", ["", "/", "/a", "a/", "a//b", "a/+", "#", "$SYS", "a\0", "a\nb", "x" * 300, "a/$x"]
)
def test_another_root_is_refused_with_an_example(root: str) -> None:
    with pytest.raises(ValidationError, match="enms or acme/chicago/enms"):
        Settings.read(root=root)


@pytest.mark.parametrize(
    ("host", "taken", "reach", "url"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", "http://127.0.0.1:8000"),
        ("localhost", "127.0.0.1", "127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "0.0.0.0", "127.0.0.1", "http://127.0.0.1:8000"),
        ("192.168.1.5", "192.168.1.5", "192.168.1.5", "http://192.168.1.5:8000"),
        ("::1", "::1", "::1", "http://[::1]:8000"),
        ("::", "::", "127.0.0.1", "http://127.0.0.1:8000"),
    ],
)
def test_a_host_is_an_ip_address_that_can_be_reached(host: str, taken: str, reach: str, url: str) -> None:
    settings = Settings.read(host=host)
    assert (settings.host, settings.reach, settings.http_url) == (taken, reach, url)
    assert settings.bus.host == reach


@pytest.mark.parametrize("host", ["", "example", "1.2.3", "1.2.3.4:80", "http://127.0.0.1", "*"])
def test_a_host_that_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="host"):
        Settings.read(host=host)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_port", 0),
        ("mqtt_port", 65536),
        ("ws_port", "x"),
        ("machines", 0),
        ("demo_history_days", -1),
        ("demo_history_days", 61),
        ("train_rows", 1),
    ],
)
def test_a_figure_out_of_bounds_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.read(**{name: value})


def test_what_is_given_stands_above_the_environment_above_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings.read().mqtt_port == 1883
    monkeypatch.setenv("ENMS_MQTT_PORT", "2883")
    assert Settings.read().mqtt_port == 2883
    assert Settings.read(mqtt_port=None).mqtt_port == 2883
    assert Settings.read(mqtt_port=3883).mqtt_port == 3883


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENMS_HTTP_PORT", "many")
    with pytest.raises(ValidationError, match="http_port"):
        Settings.read()


def test_a_child_reads_what_its_parent_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings.read(
        data_dir=tmp_path, demo=True, root="a/enms", http_port=1234, demo_history_days=0.5
    )
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.read() == settings


def test_an_outside_broker_and_api_are_used_where_given() -> None:
    settings = Settings.read(broker_host="broker.example", api_url="http://gateway.example:80")
    assert settings.bus.host == "broker.example"
    assert settings.http_url == "http://gateway.example:80"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings.read().root = "x"


def test_a_data_folder_is_absolute_and_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.read(data_dir=Path("data")).data_dir == tmp_path / "data"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.read(data_dir=Path("~/enms")).data_dir == tmp_path / "enms"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_data_dir() == tmp_path / ".local" / "share" / "enms"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert default_data_dir() == tmp_path / "xdg" / "enms"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/enms")


@pytest.mark.parametrize(("days", "minutes"), [(0, 30), (60, 30)])
def test_minutes_are_kept_at_least_as_long_as_readings(days: int, minutes: int) -> None:
    with pytest.raises(ValidationError, match="at least as long as readings"):
        Settings.read(keep_days=days, keep_minutes_days=minutes)
    assert Settings.read(keep_days=30, keep_minutes_days=30).keep_minutes_days == 30
    assert Settings.read(keep_days=30).keep_minutes_days == 0
