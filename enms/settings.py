"""Settings: read once from the environment (ENMS_…) and the command line, then handed in."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from broker.bus import BusAddress
from broker.roles import MOST_WORKERS

LONGEST_ROOT: Final = 200


def default_data_dir() -> Path:
    """Return /var/lib/enms for root, else the user's own data folder.

    Root's home is closed to the users that Mosquitto and PostgreSQL run as, so it cannot hold their files.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/enms")
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "enms"


class Settings(BaseSettings):
    """What can be set, each as an ENMS_… variable; the command's options have the same names."""

    model_config = SettingsConfigDict(env_prefix="ENMS_", frozen=True, extra="ignore")

    data_dir: Path = Field(default_factory=default_data_dir, description="Where everything is kept.")
    host: str = Field("127.0.0.1", description="IP address that HTTP, MQTT and WebSocket listen on.")
    http_port: int = Field(8000, ge=1, le=65535, description="Port of the page and the HTTP API.")
    mqtt_port: int = Field(1883, ge=1, le=65535, description="Port of MQTT.")
    ws_port: int = Field(9001, ge=1, le=65535, description="Port of MQTT over WebSocket.")
    root: str = Field("enms", description="Root of all topics; a/b/enms joins sites by a bridge.")
    demo: bool = Field(default=False, description="Run the simulated factory too.")
    demo_history_days: float = Field(
        7.0, ge=0, le=60, description="Days of past the simulated factory is given at its first start."
    )
    seed: int = Field(1, description="Seed of the simulated factory.")
    machines: int = Field(14, ge=1, description="Machines of the simulated factory.")
    broker_host: str = Field("", description="An outside broker; empty for one of our own.")
    broker_plugin: str = Field(
        "", description="Where the broker has its dynamic-security plugin; empty to look for it."
    )
    database_url: str = Field("", description="An outside PostgreSQL; empty for one of our own.")
    mqtt_ws_url: str = Field("", description="WebSocket address given to browsers, behind a proxy.")
    api_url: str = Field("", description="Where the gateway's HTTP API is, for the detector elsewhere.")
    workers: int = Field(1, ge=1, le=MOST_WORKERS, description="Processes that take telemetry in.")
    keep_days: int = Field(0, ge=0, description="Days that readings are kept; 0 for ever.")
    keep_minutes_days: int = Field(0, ge=0, description="Days that their minutes are kept; 0 for ever.")
    compress_after_days: int = Field(
        7, ge=1, description="Age in days at which TimescaleDB compresses readings."
    )
    train_rows: int = Field(300, ge=50, description="Rows a machine needs before a model is trained.")
    energy_price: float = Field(
        0.0, ge=0, description="What a kWh costs, in the currency costs are told in; 0 tells no costs."
    )

    @field_validator("root")
    @classmethod
    def _root_is_a_topic(cls, root: str) -> str:
        plain = root.isprintable() and len(root) <= LONGEST_ROOT and not set(root) & set("+#$")
        if not plain or not all(root.split("/")):
            msg = (
                "the root must be topic levels such as enms or acme/chicago/enms, without + # or $, "
                f"{LONGEST_ROOT} characters at most"
            )
            raise ValueError(msg)
        return root

    @field_validator("host")
    @classmethod
    def _host_is_an_address(cls, host: str) -> str:
        return str(ip_address("127.0.0.1" if host == "localhost" else host))

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, folder: Path) -> Path:
        return folder.expanduser().resolve()

    @model_validator(mode="after")
    def _minutes_outlive_readings(self) -> Self:
        # A late reading of a day whose minutes are gone would make its hour from what came late alone.
        if self.keep_minutes_days and not 0 < self.keep_days <= self.keep_minutes_days:
            msg = (
                f"keep_minutes_days {self.keep_minutes_days} needs a keep_days from 1 to that: "
                "minutes are kept at least as long as readings"
            )
            raise ValueError(msg)
        return self

    @property
    def bus(self) -> BusAddress:
        """Where our own clients reach the broker."""
        return BusAddress(self.broker_host or self.reach, self.mqtt_port, self.root)

    @property
    def reach(self) -> str:
        """The address under which this machine reaches what listens on `host`."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host

    @property
    def http_url(self) -> str:
        """Where this machine reaches the gateway's HTTP API."""
        host = f"[{self.reach}]" if ":" in self.reach else self.reach
        return self.api_url or f"http://{host}:{self.http_port}"

    @classmethod
    def read(cls, **given: object) -> Self:
        """Read the environment; what is given and not None stands above it.

        Raises pydantic.ValidationError naming the setting that is wrong.
        """
        return cls(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

    def environment(self) -> dict[str, str]:
        """Return the settings as ENMS_… variables, for the processes we start."""
        own = {f"ENMS_{name.upper()}": str(value) for name, value in self.model_dump().items()}
        return {**os.environ, **own}
