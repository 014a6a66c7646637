"""What no file of the tree may hold, and what every file must keep to."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from enms.settings import Settings

TREE = Path(__file__).parents[2]
LONGEST_MODULE = 400
LOCKS = sorted((TREE / "requirements").glob("*.lock"))
NPM_LOCKS = (
    "web/package-lock.json",
    "tests/node_red/package-lock.json",
    "enms/bench/node_red/package-lock.json",
)
# Put together here, or this file would name what it forbids.
HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
HOMES = ["/".join(("", *parts)) for parts in (("home", r"\w+"), ("work", r"\w+"), ("Users", r"\w+"))]
STRANGE = re.compile(
    "|".join(
        (
            r"https?://(?:registry|files|index)\.[a-z]",
            *(re.escape(host) for host in HOSTS),
            *(rf"(?<![\w.}}]){home}" for home in HOMES),
            r"(?<![\w.])/ro" + "ot/",
        )
    )
)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=TREE, capture_output=True, text=True, check=True, timeout=30
    )
    return [TREE / name for name in listed.stdout.split("\0") if name and (TREE / name).is_file()]


def strange_lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        if STRANGE.search(line):
            yield f"{path}:{number}: {line.strip()[:120]}"


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    files = tracked()
    assert files
    assert [line for path in files for line in strange_lines(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        "https" + "://registry.example/simple",
        '"resolved": "https' + "://registry.npmjs" + '.org/x.tgz"',
        "open('/home" + "/anna/data.csv')",
        "cd /wo" + "rk/main",
        "cp x /ro" + "ot/y",
    ],
)
def test_such_a_line_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "planted.txt").write_text(f"first\n{line}\n")
    assert len(list(strange_lines(tmp_path / "planted.txt"))) == 1


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_has_a_hash_for_every_package_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    packages = re.split(r"\n(?=\S)", text.strip())
    assert len(packages) > 10
    assert [one.splitlines()[0] for one in packages if "--hash=sha256:" not in one] == []
    assert "://" not in text


@pytest.mark.parametrize("name", NPM_LOCKS)
def test_an_npm_lock_has_integrity_and_no_address(name: str) -> None:
    text = (TREE / name).read_text()
    assert '"integrity"' in text
    assert '"resolved"' not in text


def test_no_module_is_longer_than_one_idea() -> None:
    long = {
        path.relative_to(TREE).as_posix(): lines
        for path in tracked()
        if path.suffix in {".py", ".ts"} and (lines := len(path.read_text().splitlines())) > LONGEST_MODULE
    }
    assert long == {}


def documents() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def commands(text: str) -> set[tuple[str, ...]]:
    """Return the words of every `enms …` in the code of a document, options and names left out."""
    code = re.findall(r"```.*?\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    found = re.findall(r"(?:^|[\s/])enms((?: [a-z][a-z-]*\b)+)", "\n".join(code), re.MULTILINE)
    return {tuple(words.split()[:2]) for words in found}


@cache
def options_of(words: tuple[str, ...]) -> str:
    enms = Path(sys.executable).with_name("enms")
    shown = subprocess.run(
        [enms, *words, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"COLUMNS": "200", "TERM": "dumb", "PATH": str(enms.parent), "NO_COLOR": "1"},
    )
    assert shown.returncode == 0, f"enms {' '.join(words)}: {shown.stderr}"
    return shown.stdout


def test_every_command_the_documents_name_exists() -> None:
    listed = {words for path in documents() for words in commands(path.read_text())}
    assert {words[0] for words in listed} >= {"up", "users"}
    top = options_of(())
    for words in sorted(listed):
        assert re.search(rf"^\W*{words[0]}\b", top, re.MULTILINE), f"enms {words[0]} is not a command"
        if words[0] == "users" and len(words) > 1:
            assert re.search(rf"^\W*{words[1]}\b", options_of(("users",)), re.MULTILINE), words


def test_every_option_the_documents_give_to_enms_exists() -> None:
    given: dict[tuple[str, ...], set[str]] = {}
    for path in documents():
        for line in re.findall(r"^\s*(?:\$ )?enms .*$", path.read_text(), re.MULTILINE):
            words = line.split("#")[0].split()[1:]
            name = tuple(words[:2]) if words[0] in {"users", "bench"} else (words[0],)
            given.setdefault(name, set()).update(word for word in words if word.startswith("--"))
    for name, options in given.items():
        shown = options_of(name)
        assert not {option for option in options if option.split("=")[0] not in shown}, name


def test_every_setting_is_documented_with_its_default() -> None:
    text = (TREE / "docs" / "run.md").read_text()
    rows = dict(re.findall(r"^\|[^|]*\| `(ENMS_\w+)` \| ([^|]*?) ?\|", text, re.MULTILINE))
    fields = {f"ENMS_{name.upper()}": field for name, field in Settings.model_fields.items()}
    assert set(rows) == set(fields)
    for name, field in fields.items():
        if field.default_factory is None and not isinstance(field.default, bool):
            default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
            assert rows[name].strip("`") == default, name


def test_containers_set_only_what_can_be_set() -> None:
    compose = (TREE / "docker-compose.yml").read_text() + (TREE / "Dockerfile").read_text()
    given = set(re.findall(r"\b(ENMS_\w+)[:=]", re.sub(r"\$\{\w+", "", compose)))
    assert given
    assert given <= {f"ENMS_{name.upper()}" for name in Settings.model_fields}


def links(path: Path) -> Iterator[Path]:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            yield path.parent / target


def test_every_link_inside_the_documents_leads_somewhere() -> None:
    broken = [f"{path.name}: {link}" for path in documents() for link in links(path) if not link.exists()]
    assert broken == []
