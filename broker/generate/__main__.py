"""`python -m broker.generate` writes what is generated; `--check` only says what is stale."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

from broker.channels import CHANNELS
from broker.generate.asyncapi import channel_id, document
from broker.generate.pages import access_file, topics_page
from broker.generate.schemas import schema
from broker.generate.typescript import source

TREE = Path(__file__).resolve().parents[2]


def files() -> dict[str, str]:
    """Return every generated file: path in the tree, text."""
    found = {
        "broker/generated/access.json": access_file(),
        "docs/asyncapi.json": json.dumps(document(version("enms-gateway")), indent=1, ensure_ascii=False)
        + "\n",
        "docs/topics.md": topics_page(),
        "web/src/contract.ts": source(),
    }
    for row in CHANNELS:
        text = json.dumps(schema(row), indent=1, ensure_ascii=False) + "\n"
        found[f"broker/generated/schemas/{channel_id(row)}.json"] = text
    return found


def main(arguments: list[str]) -> int:
    """Write, or with --check compare; returns the exit code."""
    stale = []
    for name, text in files().items():
        path = TREE / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if stale and "--check" in arguments:
        sys.stderr.write("stale, run `python -m broker.generate`:\n" + "".join(f"  {n}\n" for n in stale))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
