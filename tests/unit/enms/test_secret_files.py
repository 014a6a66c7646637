"""Secrets: made once, kept, readable by their owner only."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.roles import SERVICES
from enms.secret_files import SecretFiles


@pytest.fixture(params=[0o022, 0o000])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("_umask")
def test_a_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    SecretFiles(tmp_path).get("database")
    assert mode(tmp_path / "secrets") == 0o700
    assert mode(tmp_path / "secrets" / "database") == 0o600
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["database"]


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    made = SecretFiles(tmp_path).get("database")
    assert SecretFiles(tmp_path).get("database") == SecretFiles(tmp_path).read("database") == made
    assert len(made) >= 32
    assert SecretFiles(tmp_path / "other").get("database") != made


def test_what_was_left_half_written_is_not_taken_and_not_open_to_others(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o755)
    left = tmp_path / "secrets" / "database.new"
    left.write_text("half")
    left.chmod(0o644)
    assert SecretFiles(tmp_path).get("database") != "half"
    assert mode(tmp_path / "secrets" / "database") == 0o600


def test_every_service_has_a_password_of_its_own(tmp_path: Path) -> None:
    found = SecretFiles(tmp_path).broker_passwords()
    assert set(found) == set(SERVICES)
    assert len(set(found.values())) == len(SERVICES)
    assert found["gateway"] == SecretFiles(tmp_path).broker_password("gateway")


def test_a_secret_that_was_never_made_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="token-cli"):
        SecretFiles(tmp_path).read("token-cli")
