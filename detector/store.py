"""Models at rest: arrays and JSON, nothing that runs when loaded. The newest version is in service."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from broker.messages import ModelCard
from detector.arrays_file import WrongArraysError, read, written
from detector.models import KINDS, Model, WrongModelError
from detector.rows import Rows
from detector.signals import SignalFacts, WrongFactsError
from detector.verdict import Episode

FORMAT: Final = 2
REFITS_KEPT: Final = 24
"""Refitted models kept of a machine, so that a back-test finds what served."""
SIGNALS: Final = "signals."


@dataclass(frozen=True, slots=True)
class Stored:
    """A model with its card, and what is known of its machine's signals.

    `trained_rows` is how much history there was when it was trained; it served from `from_s` on, and was
    refitted `refits` times since its training.
    """

    model: Model
    facts: SignalFacts
    card: ModelCard
    trained_rows: int
    from_s: float
    refits: int = 0


class _Sheet(msgspec.Struct, frozen=True):
    """The JSON beside the arrays; `sha256` is of the arrays file."""

    format: int
    kind: str
    sha256: str
    features: tuple[str, ...]
    facts: dict[str, object]
    signals: dict[str, object]
    card: ModelCard
    trained_rows: int
    from_s: float
    refits: int


class ModelStore:
    """A folder of `<machine>/<version>/` with `arrays.bin` and `model.json` in each.

    A refitted model is in `<version>.<refits>`, beside the version it was refitted from. Beside them are
    `memory.bin`, the rows the next refit goes on from, and `episode.json`, the episode that is open.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def next_version(self, machine: str) -> str:
        """Return the version after the newest stored one; the first is 1."""
        return str(max((version for version, _ in self._versions(machine)), default=0) + 1)

    def save(self, stored: Stored, remembered: Rows | None = None) -> None:
        """Store a new version, or a refit of one, whole or not at all; and what is remembered beside it."""
        home = self._folder / stored.card.machine
        home.mkdir(parents=True, exist_ok=True)
        arrays, facts = stored.model.pack()
        known, signals = stored.facts.pack()
        packed = written({**arrays, **{SIGNALS + name: one for name, one in known.items()}})
        sheet = _Sheet(
            FORMAT,
            stored.model.kind,
            hashlib.sha256(packed).hexdigest(),
            stored.model.features,
            facts,
            signals,
            stored.card,
            stored.trained_rows,
            stored.from_s,
            stored.refits,
        )
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home))
        try:
            _write(draft / "arrays.bin", packed)
            _write(draft / "model.json", msgspec.json.encode(sheet))
            draft.rename(home / _name(int(stored.card.version), stored.refits))
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        if remembered is not None:
            self._keep_memory(home, remembered)
        for version, refits in [one for one in self._versions(home.name) if one[1]][:-REFITS_KEPT]:
            shutil.rmtree(home / _name(version, refits), ignore_errors=True)

    def load(self, machine: str, before_s: float = np.inf) -> Stored | None:
        """Return what serves a machine, or served it at `before_s` (epoch); None where there is nothing.

        Raises WrongModelError when it cannot be used.
        """
        for version, refits in reversed(self._versions(machine)):
            stored = self._load(self._folder / machine / _name(version, refits))
            if stored.from_s <= before_s:
                return stored
        return None

    def machines(self) -> list[str]:
        """Return the machines that have a model."""
        if not self._folder.is_dir():
            return []
        return sorted(home.name for home in self._folder.iterdir() if self._versions(home.name))

    def memory(self, machine: str, metrics: tuple[str, ...]) -> Rows:
        """Return what was remembered of a machine, as its model sees rows; none where that is lost."""
        try:
            found = read((self._folder / machine / "memory.bin").read_bytes())
            rows = Rows(metrics, found["ts_s"], found["values"].astype(np.float64))
        except (OSError, WrongArraysError, KeyError):
            return Rows(metrics, np.empty(0), np.empty((0, len(metrics))))
        return rows if rows.values.shape == (len(rows), len(metrics)) else rows.cut(0, 0).of(metrics)

    def keep_episode(self, machine: str, episode: Episode | None, last_s: float) -> None:
        """Remember the open episode, so that a restart can go on with it; None forgets it."""
        path = self._folder / machine / "episode.json"
        if episode is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        # Not synced: it must outlive this process, and when the computer dies the outbox has the event.
        draft.write_bytes(msgspec.json.encode((episode, last_s)))
        draft.replace(path)

    def episode(self, machine: str) -> tuple[Episode, float] | None:
        """Return the episode that was open, and the time of its last row; None where there was none."""
        path = self._folder / machine / "episode.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=tuple[Episode, float])
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def keep_wanted(self, machine: str, kind: str | None) -> None:
        """Remember which kind of model somebody wants a machine to have; None lets its data decide."""
        path = self._folder / machine / "wanted"
        if kind is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        _write(draft, kind.encode())
        draft.replace(path)

    def wanted(self, machine: str) -> str | None:
        """Return what `keep_wanted` remembered."""
        try:
            return (self._folder / machine / "wanted").read_text()
        except FileNotFoundError:
            return None

    def keep_maintained(self, machines: Iterable[str]) -> None:
        """Remember which machines somebody works on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / ".maintained.draft"
        _write(draft, msgspec.json.encode(sorted(machines)))
        draft.replace(self._folder / ".maintained")

    def maintained(self) -> set[str]:
        """Return what `keep_maintained` remembered."""
        try:
            return msgspec.json.decode((self._folder / ".maintained").read_bytes(), type=set[str])
        except (OSError, msgspec.DecodeError):
            return set()

    def keep_mark(self, acknowledged_s: float) -> None:
        """Remember up to which time of arrival (epoch) everything has been scored and told."""
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / ".mark.draft"
        draft.write_bytes(msgspec.json.encode(acknowledged_s))
        draft.replace(self._folder / ".mark")

    def mark(self) -> float | None:
        """Return what `keep_mark` remembered."""
        try:
            return msgspec.json.decode((self._folder / ".mark").read_bytes(), type=float)
        except (OSError, msgspec.DecodeError):
            return None

    def _keep_memory(self, home: Path, rows: Rows) -> None:
        draft = home / "memory.draft"
        draft.write_bytes(written({"ts_s": rows.ts_s, "values": rows.values.astype(np.float32)}))
        draft.replace(home / "memory.bin")

    def _versions(self, machine: str) -> list[tuple[int, int]]:
        """Return (version, refits) of what is stored, the oldest first."""
        home = self._folder / machine
        names = [one.name.split(".") for one in home.iterdir()] if home.is_dir() else []
        numbers = [[int(part) for part in name] for name in names if all(part.isdigit() for part in name)]
        return sorted((one[0], one[1] if len(one) > 1 else 0) for one in numbers)

    def _load(self, home: Path) -> Stored:
        try:
            sheet = msgspec.json.decode((home / "model.json").read_bytes(), type=_Sheet)
            packed = (home / "arrays.bin").read_bytes()
        except (OSError, msgspec.DecodeError) as error:
            raise WrongModelError(f"{home} cannot be read ({error}); remove it and train again") from error
        if sheet.format != FORMAT or sheet.kind not in KINDS:
            msg = (
                f"{home} is {sheet.kind} in format {sheet.format}, which this version cannot run; train again"
            )
            raise WrongModelError(msg)
        if hashlib.sha256(packed).hexdigest() != sheet.sha256:
            raise WrongModelError(f"{home}/arrays.bin is not what was stored; remove {home} and train again")
        arrays, known = _unpacked(packed, home)
        model = KINDS[sheet.kind].unpack(arrays, sheet.facts)
        try:
            facts = SignalFacts.unpack(known, sheet.signals)
        except WrongFactsError as error:
            raise WrongModelError(f"{home}: {error}") from error
        if model.features != sheet.features:
            expected, found_ = ", ".join(sheet.features), ", ".join(model.features)
            msg = f"{home} was trained on other features (expected {expected}; found {found_}); train again"
            raise WrongModelError(msg)
        return Stored(model, facts, sheet.card, sheet.trained_rows, sheet.from_s, sheet.refits)


def refitted(stored: Stored, model: Model, refits: int, from_s: float) -> Stored:
    """Return what is stored of a refit."""
    return replace(stored, model=model, refits=refits, from_s=from_s)


def _name(version: int, refits: int) -> str:
    return f"{version}.{refits}" if refits else str(version)


def _unpacked(packed: bytes, home: Path) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return the arrays of the model, and those of the signals."""
    try:
        arrays = read(packed)
    except WrongArraysError as error:
        raise WrongModelError(f"{home}/arrays.bin holds no arrays ({error}); train again") from error
    known = {name: arrays.pop(name) for name in list(arrays) if name.startswith(SIGNALS)}
    return arrays, {name.removeprefix(SIGNALS): one for name, one in known.items()}


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
