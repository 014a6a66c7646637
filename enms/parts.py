"""The configuration of each part, from the settings and the secrets of the data folder."""

from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from broker.mosquitto import Mosquitto
from enms.secret_files import SecretFiles
from enms.settings import Settings

if TYPE_CHECKING:  # a process loads its own house only: the gateway needs no scikit-learn
    from detector.service import DetectorConfig
    from devices.simulator import SimulatorConfig
    from gateway.postgres import Postgres
    from gateway.service import WebConfig
    from gateway.sharing import Share
    from gateway.worker import WorkerConfig

VERSION = version("enms-gateway")
TOKENS = ("cli", "detector")


def mosquitto(settings: Settings) -> Mosquitto:
    """Return the private broker."""
    return Mosquitto(
        settings.data_dir / "broker",
        settings.host,
        settings.mqtt_port,
        settings.ws_port,
        settings.root,
        settings.broker_plugin,
    )


def postgres(settings: Settings) -> "Postgres":
    """Return the private database."""
    from gateway.postgres import Postgres

    return Postgres(settings.data_dir / "postgres", SecretFiles(settings.data_dir).get("database"))


def worker(settings: Settings, share: "Share") -> "WorkerConfig":
    """Return the configuration of the gateway's worker with that share of the machines."""
    from broker.roles import gateway_user, ingest_user, live_user, state_user
    from gateway.store import Keeping
    from gateway.worker import WorkerConfig

    secrets = SecretFiles(settings.data_dir)
    users = [user(share.index) for user in (gateway_user, ingest_user, live_user, state_user)]
    if share.first:
        users.append("broker-admin")
    return WorkerConfig(
        bus=settings.bus,
        broker_passwords={user: secrets.broker_password(user) for user in users},
        database_url=settings.database_url,
        version=VERSION,
        share=share,
        keeping=Keeping(
            samples_days=settings.keep_days or None,
            minutes_days=settings.keep_minutes_days or None,
            compress_after_days=settings.compress_after_days,
        ),
    )


def web(settings: Settings) -> "WebConfig":
    """Return where the gateway's first worker serves HTTP."""
    from gateway.service import WebConfig

    secrets = SecretFiles(settings.data_dir)
    return WebConfig(
        host=settings.host,
        http_port=settings.http_port,
        ws_port=settings.ws_port,
        service_tokens={name: secrets.get(f"token-{name}") for name in TOKENS},
        mqtt_ws_url=settings.mqtt_ws_url,
    )


def outbox(settings: Settings, client: str) -> Path:
    """Return the file in which a source of ours keeps what is not stored yet."""
    return settings.data_dir / "outbox" / f"{client}.db"


def detector(settings: Settings) -> "DetectorConfig":
    """Return the detector's configuration."""
    from detector.service import DetectorConfig

    secrets = SecretFiles(settings.data_dir)
    return DetectorConfig(
        bus=settings.bus,
        password=secrets.broker_password("detector"),
        live_password=secrets.broker_password("detector-live"),
        api_url=settings.http_url,
        api_token=secrets.get("token-detector"),
        store=settings.data_dir / "models",
        outbox=outbox(settings, "detector"),
        train_rows=settings.train_rows,
        price_per_kwh=settings.energy_price or None,
        version=VERSION,
    )


def simulator(settings: Settings, speed: float, history_days: float) -> "SimulatorConfig":
    """Return the simulated factory's configuration; the history is given out once for a data folder."""
    from devices.simulator import SimulatorConfig

    given_out = settings.data_dir / "simulated-history"
    return SimulatorConfig(
        bus=settings.bus,
        password=SecretFiles(settings.data_dir).broker_password("simulator"),
        outbox=outbox(settings, "simulator"),
        version=VERSION,
        seed=settings.seed,
        machines=settings.machines,
        speed=speed,
        backfill=timedelta() if given_out.exists() else timedelta(days=history_days),
        backfilled=given_out,
    )
