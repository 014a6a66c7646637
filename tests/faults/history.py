"""What each part of a fault test did and saw, appended to a file of its own as JSON lines."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class History:
    """One part's file. Lines may come from several threads; each has `did`, and `at` in epoch seconds."""

    def __init__(self, folder: Path, part: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"{part}.jsonl").open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def note(self, did: str, **facts: Any) -> None:
        line = json.dumps({"did": did, "at": time.time(), **facts})
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")

    def close(self) -> None:
        with self._lock:
            self._file.close()


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Return the lines of all files of a folder, file by file, each in the order it was written."""
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file)
