"""What stands in the way of a start is said in words that tell how to go on."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.broker import free_port
from fixtures.product import Product


def up(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "enms", "up", "--data-dir", str(folder / "data"), *options]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("option", ["--http-port", "--mqtt-port", "--ws-port"])
def test_a_port_that_is_taken_is_named_with_the_option_that_changes_it(folder: Path, option: str) -> None:
    ports = {name: str(free_port()) for name in ("--http-port", "--mqtt-port", "--ws-port")}
    with socket.create_server(("127.0.0.1", int(ports[option]))):
        done = up(folder, *[word for pair in ports.items() for word in pair])
    assert done.returncode == 1
    assert f"port {ports[option]} of 127.0.0.1" in done.stderr
    assert f"choose another with {option}" in done.stderr
    assert not list((folder / "data").glob("run/*.pid"))


def test_a_data_folder_in_use_is_refused(product: Product) -> None:
    done = up(product.folder)
    assert done.returncode == 1
    assert "another `enms up` runs with" in done.stderr


def test_nothing_listens_beyond_loopback(product: Product) -> None:
    lines = subprocess.run(
        ["ss", "-H", "-ltnp"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    ours = {product.child(name) for name in ("broker", "database", "gateway", "detector")}
    found = [line.split()[3] for line in lines if any(f"pid={pid}," in line for pid in ours)]
    assert len(found) >= 4
    assert all(address.startswith("127.0.0.1:") for address in found), found


def test_a_part_left_behind_by_a_killed_supervisor_is_cleared_at_the_next_start(product: Product) -> None:
    assert product.process is not None
    product.process.kill()
    product.process.wait()
    product.output.unlink()
    product.start()
    assert product.get("machines") == {"machines": []}


def test_a_setting_that_is_wrong_is_named(folder: Path) -> None:
    done = up(folder, "--http-port", "99999")
    assert done.returncode == 1
    assert "http_port" in done.stderr
