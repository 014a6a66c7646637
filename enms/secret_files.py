"""Generated secrets, one file each, readable by their owner only."""

import secrets
from pathlib import Path

from broker.roles import SERVICES


class SecretFiles:
    """The folder `secrets` of the data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "secrets"

    def get(self, name: str) -> str:
        """Return a secret, made now if it was never made."""
        path = self._folder / name
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.unlink(missing_ok=True)  # what a crash left may be open to others
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_urlsafe(24))
            fresh.replace(path)
        return self.read(name)

    def read(self, name: str) -> str:
        """Return a secret that exists. Raises OSError where it does not, or is not ours to read."""
        return (self._folder / name).read_text().strip()

    def broker_password(self, user: str) -> str:
        """Return the broker password of one of our services."""
        return self.get(f"broker-{user}")

    def broker_passwords(self) -> dict[str, str]:
        """Return the broker passwords of all our services."""
        return {user: self.broker_password(user) for user in SERVICES}
