"""The commands of docs/backup.md, run as they stand: dump while readings come, restore, the same readings."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fixtures.broker import open_folder
from fixtures.postgres import PrivatePostgres
from fixtures.product import Product, running, until

from broker.telemetry import Row
from gateway.store import Batch, Store

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
T0 = datetime(2026, 3, 2, tzinfo=UTC)


def commands(name: str) -> str:
    (found,) = re.findall(rf"^```sh {name}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(found)


def shell(script: str, folder: Path, **environment: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def pair(number: int) -> Batch:
    """Readings of two machines that are stored together or not at all."""
    ts = T0 + timedelta(seconds=number)
    return Batch(rows=[Row(name, ts, ts, ("a", "b"), (float(number), -1.0)) for name in ("m-1", "m-2")])


async def held(store: Store) -> dict[str, list[float]]:
    found = {}
    for one in await store.export_series([], ["a"]):
        chunk = await store.raw_chunk(one.machine_id, [one.slot], T0, T0 + timedelta(days=1), 100_000)
        found[one.machine] = chunk.columns["value"].tolist()
    return found


async def test_a_dump_made_while_readings_come_is_restored_as_of_one_moment(
    store: Store, database_url: str, postgres: PrivatePostgres, tmp_path: Path
) -> None:
    for number in range(200):
        await store.write(pair(number))
    written = 200

    async def write_on() -> None:
        nonlocal written
        while True:
            await store.write(pair(written))
            written += 1

    before = written
    writer = asyncio.create_task(write_on())
    new_url = database_url.rsplit("/", 1)[0] + "/enms_restored"
    where = {
        "ENMS_DATABASE_URL": database_url,
        "NEW_DATABASE_URL": new_url,
        "SERVER_URL": postgres.postgres.url,
    }
    await asyncio.to_thread(shell, commands("outside-backup"), tmp_path, **where)
    writer.cancel()
    with suppress(asyncio.CancelledError):
        await writer
    await asyncio.to_thread(shell, commands("outside-restore"), tmp_path, **where)
    restored = Store(new_url)
    await restored.open()
    try:
        await restored.migrate()
        found = await held(restored)
        assert found["m-1"] == found["m-2"] == [float(number) for number in range(len(found["m-1"]))]
        assert before <= len(found["m-1"]) <= written
        again = await restored.write(pair(0))
        assert (again.stored, again.doubled) == (0, 4)
        assert (await restored.write(pair(90_000))).stored == 4
    finally:
        await restored.close()
        postgres.drop_database(new_url)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = open_folder()
    yield made
    subprocess.run(["rm", "-rf", str(made)], check=True)


def exported(product: Product) -> list[str]:
    token = (product.data / "secrets" / "token-cli").read_text()
    answer = httpx.get(
        f"{product.url}/api/v1/export",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.text.splitlines()


def test_two_commands_take_a_running_enms_to_a_new_machine(folder: Path) -> None:
    file = folder / "readings.csv"
    lines = [f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z,{n},{n / 3}" for n in range(1200)]
    file.write_text("\n".join(["ts,power_kw,temp_c", *lines]))
    backup = folder / "backups" / "monday"
    for name in ("old", "new"):
        (folder / name).mkdir()
    with running(folder / "old") as old:
        password = old.user("press-7", "device")
        shell(f"enms import {file} --machine press-7 --data-dir {old.data}", folder)
        script = commands("backup").replace("/srv/backups/monday", str(backup))
        shell(script, folder, ENMS_DATA_DIR=str(old.data))
        before = exported(old)
        assert len(before) == 2401
    assert backup.stat().st_mode & 0o077 == 0
    new = Product(folder / "new")
    script = (
        commands("restore").replace("/srv/backups/monday", str(backup)).replace("/srv/enms", str(new.data))
    )
    shell(script, folder)
    refused = subprocess.run(
        [sys.executable, "-m", "enms", "restore", str(backup), "--data-dir", str(new.data)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 1
    assert "has a database already" in refused.stderr
    new.start()
    try:
        assert exported(new) == before
        new.passwords["press-7"] = password
        assert new.publish("press-7", "enms/telemetry/press-7", '{"power_kw": 5}').returncode == 0
        until(lambda: len(exported(new)) == len(before) + 1)
    finally:
        new.stop()


def test_a_folder_that_holds_no_database_is_not_backed_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "enms", "backup", str(tmp_path / "b"), "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "holds no database of ours" in done.stderr
    assert not (tmp_path / "b").exists()
