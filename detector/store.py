"""Models at rest: arrays and JSON, nothing that runs when loaded. The newest version is in service."""

import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from broker.messages import ModelCard
from detector.models import KINDS, Model, WrongModelError
from detector.verdict import Episode

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Stored:
    """A model with its card; `trained_rows` is how much history there was when it was trained."""

    model: Model
    card: ModelCard
    trained_rows: int


class _Sheet(msgspec.Struct, frozen=True):
    """The JSON beside the arrays; `sha256` is of the arrays file."""

    format: int
    kind: str
    sha256: str
    features: tuple[str, ...]
    facts: dict[str, object]
    card: ModelCard
    trained_rows: int


class ModelStore:
    """A folder of `<machine>/<version>/` with `arrays.npz` and `model.json` in each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def next_version(self, machine: str) -> str:
        """Return the version after the newest stored one; the first is 1."""
        return str(max(self._versions(machine), default=0) + 1)

    def save(self, stored: Stored) -> None:
        """Store a new version whole or not at all."""
        home = self._folder / stored.card.machine
        home.mkdir(parents=True, exist_ok=True)
        arrays, facts = stored.model.pack()
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
        sheet = _Sheet(
            FORMAT,
            stored.model.kind,
            hashlib.sha256(packed.getvalue()).hexdigest(),
            stored.model.features,
            facts,
            stored.card,
            stored.trained_rows,
        )
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home))
        try:
            _write(draft / "arrays.npz", packed.getvalue())
            _write(draft / "model.json", msgspec.json.encode(sheet))
            draft.rename(home / stored.card.version)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def load(self, machine: str) -> Stored | None:
        """Return the newest version, None where there is none.

        Raises WrongModelError when it cannot be used.
        """
        versions = self._versions(machine)
        return self._load(self._folder / machine / str(max(versions))) if versions else None

    def machines(self) -> list[str]:
        """Return the machines that have a model."""
        if not self._folder.is_dir():
            return []
        return sorted(home.name for home in self._folder.iterdir() if self._versions(home.name))

    def keep_episode(self, machine: str, episode: Episode | None, last_s: float) -> None:
        """Remember the open episode, so that a restart can go on with it; None forgets it."""
        path = self._folder / machine / "episode.json"
        if episode is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        _write(draft, msgspec.json.encode((episode, last_s)))
        draft.replace(path)

    def episode(self, machine: str) -> tuple[Episode, float] | None:
        """Return the episode that was open, and the time of its last row; None where there was none."""
        path = self._folder / machine / "episode.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=tuple[Episode, float])
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _versions(self, machine: str) -> list[int]:
        home = self._folder / machine
        return [int(one.name) for one in home.iterdir() if one.name.isdigit()] if home.is_dir() else []

    def _load(self, home: Path) -> Stored:
        try:
            sheet = msgspec.json.decode((home / "model.json").read_bytes(), type=_Sheet)
            packed = (home / "arrays.npz").read_bytes()
        except (OSError, msgspec.DecodeError) as error:
            raise WrongModelError(f"{home} cannot be read ({error}); remove it and train again") from error
        if sheet.format != FORMAT or sheet.kind not in KINDS:
            msg = (
                f"{home} is {sheet.kind} in format {sheet.format}, which this version cannot run; train again"
            )
            raise WrongModelError(msg)
        if hashlib.sha256(packed).hexdigest() != sheet.sha256:
            raise WrongModelError(f"{home}/arrays.npz is not what was stored; remove {home} and train again")
        try:
            with np.load(io.BytesIO(packed), allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
        except (ValueError, zipfile.BadZipFile) as error:
            raise WrongModelError(f"{home}/arrays.npz holds no arrays ({error}); train again") from error
        model = KINDS[sheet.kind].unpack(arrays, sheet.facts)
        if model.features != sheet.features:
            expected, found_ = ", ".join(sheet.features), ", ".join(model.features)
            msg = f"{home} was trained on other features (expected {expected}; found {found_}); train again"
            raise WrongModelError(msg)
        return Stored(model, sheet.card, sheet.trained_rows)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
