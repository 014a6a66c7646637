"""What the detector is told once, at its start."""

from dataclasses import dataclass, field
from pathlib import Path

from broker.bus import BusAddress
from detector.tuning import Tuning

__all__ = ["DetectorConfig", "Tuning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """Where the bus, the history and the model store are, and how much past a first training needs.

    `outbox` is the file that keeps events until the database has them. `price_per_kwh` is in the currency
    that costs are told in.
    """

    bus: BusAddress
    password: str = field(repr=False)
    live_password: str = field(repr=False)
    api_url: str
    api_token: str = field(repr=False)
    store: Path
    outbox: Path
    version: str = ""
    train_rows: int = 300
    train_span_s: float = 60.0
    history_days: float = 14.0
    look_every_s: float = 2.0
    price_per_kwh: float | None = None
    tuning: Tuning = field(default_factory=Tuning)
