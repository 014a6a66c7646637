"""Every block marked `sh run` in the documents is run, in order, in one shell, beside a running product."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.broker import open_folder
from fixtures.product import Product, running, until

TREE = Path(__file__).parents[2]
PAGES = sorted(
    path for path in [*TREE.glob("*.md"), *TREE.glob("docs/*.md")] if "```sh run\n" in path.read_text()
)


def blocks(text: str) -> list[str]:
    return re.findall(r"^```sh run\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def demo() -> Iterator[Product]:
    folder = open_folder()
    with running(folder, "--demo", ENMS_DEMO_HISTORY_DAYS="0") as product:
        yield product
    shutil.rmtree(folder, ignore_errors=True)


def test_there_are_pages_with_examples() -> None:
    assert {page.name for page in PAGES} == set(CHECKS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_work_as_they_stand(demo: Product, page: Path) -> None:
    script = "\n".join(blocks(page.read_text()))
    script = script.replace("localhost:8000", f"127.0.0.1:{demo.http_port}")
    script = script.replace("-h localhost -p 1883", f"-h 127.0.0.1 -p {demo.mqtt_port}")
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=TREE,
        env={**os.environ, "ENMS_DATA_DIR": str(demo.data)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    CHECKS[page.name](demo, done.stdout)


def the_fault_was_taken(_: Product, said: str) -> None:
    assert '"ok":true' in said.replace(" ", ""), said


def the_press_is_known(demo: Product, _: str) -> None:
    def known() -> bool:
        state = str(demo.get("machines/press-7"))
        return "Press 7" in state and "31.7" in state

    until(known)


def the_old_press_is_imported(_: Product, said: str) -> None:
    answer = json.loads(said.splitlines()[-1])
    assert (answer["stored"], answer["doubled"], answer["refused"]) == (3, 0, 0)


CHECKS = {
    "getting-started.md": the_fault_was_taken,
    "connect.md": the_press_is_known,
    "export-import.md": the_old_press_is_imported,
}
