"""Which ports the `enms up` of a data folder has, so that commands beside it need only the folder."""

import json
import os
from typing import Final

from enms.settings import Settings

_TOLD: Final = ("host", "http_port", "mqtt_port", "ws_port", "root", "broker_host")


def tell(settings: Settings) -> None:
    """Write down what runs."""
    found = {name: getattr(settings, name) for name in _TOLD}
    (settings.data_dir / "run" / "up.json").write_text(json.dumps({**found, "pid": os.getpid()}))


def forget(settings: Settings) -> None:
    """Note that it runs no more."""
    (settings.data_dir / "run" / "up.json").unlink(missing_ok=True)


def beside(settings: Settings) -> Settings:
    """Return the settings with the addresses of what runs in the data folder, unchanged if nothing does."""
    try:
        told = json.loads((settings.data_dir / "run" / "up.json").read_text())
    except (OSError, ValueError):
        return settings
    return settings.model_copy(update={name: told[name] for name in _TOLD if name in told})
