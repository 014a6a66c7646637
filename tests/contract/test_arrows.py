"""Which house may import which, and which one file may import each heavy thing."""

import ast
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]

HOUSES = {
    "broker": set[str](),
    "devices": {"broker"},
    "gateway": {"broker"},
    "detector": {"broker"},
    "enms": {"broker", "devices", "gateway", "detector"},
}
"""What each house may import beside itself."""

ONE_IMPORTER = {
    "aiomqtt": ("broker/bus.py",),
    "paho": ("broker/bus.py",),
    "psycopg": ("gateway/store.py", "gateway/store/*.py"),
    "psycopg_pool": ("gateway/store.py", "gateway/store/*.py"),
    "sklearn": ("detector/models/*.py",),
}
"""Heavy things, and the files that may import them."""

READS_ENVIRONMENT = "*/settings.py"
ENVIRONMENT = ("environ", "environb", "getenv", "getenvb")


@dataclass(frozen=True, slots=True)
class Use:
    """A name a file uses from outside: `os.environ`, `broker.bus`."""

    file: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.name}"


def uses(tree: Path) -> Iterator[Use]:
    """Yield what every module of the houses imports, wherever in the file, and what it takes from os."""
    for house in HOUSES:
        for path in sorted((tree / house).rglob("*.py")):
            file = path.relative_to(tree).as_posix()
            for node in ast.walk(ast.parse(path.read_text(), filename=file)):
                yield from (Use(file, getattr(node, "lineno", 0), name) for name in names(node, file))


def names(node: ast.AST, file: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = file.removesuffix(".py").split("/")[: -node.level] if node.level else []
        module = ".".join([*package, *([node.module] if node.module else [])])
        yield from (f"{module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield f"{node.value.id}.{node.attr}"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        first = node.args[0] if node.args else None
        if called in {"import_module", "__import__"} and isinstance(first, ast.Constant):
            yield str(first.value)


def forbidden(tree: Path) -> list[str]:
    found = []
    for use in uses(tree):
        house, top = use.file.split("/")[0], use.name.split(".")[0]
        if top in HOUSES and top != house and top not in HOUSES[house]:
            found.append(f"{use}: {house} may not import {top}")
        if top in ONE_IMPORTER and not any(fnmatch(use.file, one) for one in ONE_IMPORTER[top]):
            found.append(f"{use}: only {' and '.join(ONE_IMPORTER[top])} may import {top}")
        if use.name in {f"os.{one}" for one in ENVIRONMENT} and not fnmatch(use.file, READS_ENVIRONMENT):
            found.append(f"{use}: only settings.py reads the environment")
    return found


def test_no_import_goes_against_an_arrow() -> None:
    assert list(uses(TREE)), "no imports were found at all: the test looks in the wrong place"
    assert forbidden(TREE) == []


FORBIDDEN = (
    ("broker", "import gateway"),
    ("gateway", "from detector import live"),
    ("gateway", "def later():\n    from detector.models import anything"),
    ("detector", "import gateway.store as database"),
    ("devices", "from gateway import store"),
    ("devices", "from ..gateway import store"),
    ("gateway", "import enms.settings"),
    ("gateway", "import importlib\nimportlib.import_module('detector')"),
    ("devices", "import aiomqtt"),
    ("gateway", "from paho.mqtt import client"),
    ("gateway", "import psycopg"),
    ("detector", "from sklearn.ensemble import IsolationForest"),
    ("gateway", "import os\nhome = os.environ['HOME']"),
    ("gateway", "from os import getenv"),
)
ALLOWED = (
    ("gateway", "from broker.bus import Bus"),
    ("enms", "import gateway, detector, devices, broker"),
    ("detector/models", "from sklearn.ensemble import IsolationForest"),
)


@pytest.fixture(scope="module")
def found_in_copy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is found in a copy of the houses in which every line above is planted, each in its own file."""
    copy = tmp_path_factory.mktemp("tree")
    for house in HOUSES:
        shutil.copytree(TREE / house, copy / house, ignore=shutil.ignore_patterns("static", "__pycache__"))
    for kind, planted in (("bad", FORBIDDEN), ("good", ALLOWED)):
        for number, (folder, text) in enumerate(planted):
            (copy / folder).mkdir(exist_ok=True)
            (copy / folder / f"{kind}_{number}.py").write_text(text + "\n")
    return forbidden(copy)


@pytest.mark.parametrize("number", range(len(FORBIDDEN)), ids=[text for _, text in FORBIDDEN])
def test_a_forbidden_import_is_caught(found_in_copy: list[str], number: int) -> None:
    folder, _ = FORBIDDEN[number]
    assert [one for one in found_in_copy if one.startswith(f"{folder}/bad_{number}.py:")]


@pytest.mark.parametrize("number", range(len(ALLOWED)), ids=[text for _, text in ALLOWED])
def test_an_allowed_import_is_not(found_in_copy: list[str], number: int) -> None:
    folder, _ = ALLOWED[number]
    assert not [one for one in found_in_copy if one.startswith(f"{folder}/good_{number}.py:")]
