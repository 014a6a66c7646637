"""What the detector is told once, at its start."""

from dataclasses import dataclass, field
from pathlib import Path

from broker.bus import BusAddress


@dataclass(frozen=True, slots=True)
class Tuning:
    """One setting for all machines. Times are of the data, not of the clock.

    `window_s` is the shortest window; a machine trained on slower rows gets one of `window_rows_least`
    rows. Everything that must wait (what a refit leaves out, how long a hole may be) is counted in windows.
    """

    window_s: float = 30.0
    window_rows_least: int = 3
    fit_share: float = 0.7
    margin: float = 1.6
    patience_rows: int = 3
    calm_ratio: float = 0.9
    calm_windows: float = 0.2
    left_out_windows: float = 10.0
    hole_windows: float = 4.0
    refit_rows: int = 60
    train_rows_most: int = 12_000
    memory_rows: int = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """Where the bus, the history and the model store are, and how much past a first training needs.

    `outbox` is the file that keeps events until the database has them.
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
    tuning: Tuning = field(default_factory=Tuning)
