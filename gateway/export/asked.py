"""A question for an export, checked before the first byte of an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
MOST_NAMES: Final = 1000


class ExportError(ValueError):
    """The family of what is wrong with a question for an export."""


class UnknownExportError(ExportError):
    """There is no such machine, or none of them has such a metric."""


class BadExportError(ExportError):
    """The question itself is wrong; the message says what would be right."""


class Form(StrEnum):
    """What the file is."""

    CSV = "csv"
    PARQUET = "parquet"


class Width(StrEnum):
    """Readings as they came, or what they come to in each minute, quarter of an hour, hour or day."""

    RAW = "raw"
    MINUTE = "1m"
    QUARTER = "15m"
    HOUR = "1h"
    DAY = "1d"


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """A question that may be asked. Empty `machines` or `metrics` mean all; the span is [start, end)."""

    machines: tuple[str, ...]
    metrics: tuple[str, ...]
    start: datetime
    end: datetime
    form: Form
    width: Width

    @classmethod
    def of(
        cls,
        *,
        machines: Sequence[str] = (),
        metrics: Sequence[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        form: Form = Form.CSV,
        width: Width = Width.RAW,
    ) -> "ExportQuery":
        """Fill in what is not given: everything there is. Raises BadExportError."""
        for name, given in (("machine", machines), ("metric", metrics)):
            if len(given) > MOST_NAMES:
                msg = (
                    f"{len(given)} times {name}= are more than {MOST_NAMES}; leave it out to get all of them"
                )
                raise BadExportError(msg)
        since = _checked("start", start or EARLIEST)
        until = _checked("end", end or LATEST)
        if not since < until:
            raise BadExportError(f"start {since.isoformat()} is not before end {until.isoformat()}")
        unique = tuple(sorted(set(machines))), tuple(sorted(set(metrics)))
        return cls(*unique, since, until, form, width)

    @property
    def file_name(self) -> str:
        """What the answer should be called: plain ASCII, no spaces."""
        who = self.machines[0] if len(self.machines) == 1 else "machines"
        span = "" if self.start == EARLIEST else f"_from_{_stamp(self.start)}"
        span += "" if self.end == LATEST else f"_to_{_stamp(self.end)}"
        return f"enms_{who}_{self.width}{span}.{self.form}"


def _stamp(time: datetime) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ")


def _checked(name: str, time: datetime) -> datetime:
    if time.tzinfo is None:
        raise BadExportError(f"{name} has no time zone; end it with Z or an offset such as +01:00")
    if not EARLIEST <= time <= LATEST:
        raise BadExportError(f"{name} must lie between {EARLIEST.year} and {LATEST.year}")
    return time.astimezone(UTC)
