"""`enms init`: secrets and the broker's configuration, for a broker that somebody else starts."""

from enms import parts
from enms.secret_files import SecretFiles
from enms.settings import Settings


def init(settings: Settings) -> None:
    """Write what is missing into the data folder; access rules are brought up to date."""
    secrets = SecretFiles(settings.data_dir)
    for name in ("database", *(f"token-{name}" for name in parts.TOKENS)):
        secrets.get(name)
    parts.mosquitto(settings).prepare(secrets.broker_passwords())
