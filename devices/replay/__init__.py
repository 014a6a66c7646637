"""Plays recorded machine data from CSV files as if it happened now."""

from devices.replay.columns import Column
from devices.replay.errors import RecordingError
from devices.replay.plan import Plan, make_plan
from devices.replay.player import AT_ONCE, Progress, replay
from devices.replay.reader import ReadOptions, Recording, read_file, read_text

__all__ = [
    "AT_ONCE",
    "Column",
    "Plan",
    "Progress",
    "ReadOptions",
    "Recording",
    "RecordingError",
    "make_plan",
    "read_file",
    "read_text",
    "replay",
]
