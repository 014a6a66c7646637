"""The time column of a recording."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from devices.replay.errors import RecordingError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM: Final = 1e11
_SECONDS_FROM: Final = 1e8
"""Smaller numbers (before 1973) are measurements, not times."""

_DATES: Final = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")
_CLOCKS: Final = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %H:%M:%S,%f", " %I:%M:%S %p")
FORMATS: Final = tuple(date + clock for date in _DATES for clock in _CLOCKS)
"""Tried in this order where the text is neither ISO 8601 nor a number of seconds or milliseconds."""

ELAPSED: Final = "elapsed"

_PROBED: Final = 500


def parse(text: str, form: str | None, zone: tzinfo) -> datetime:
    """Return the time in UTC; a text without a zone is in `zone`.

    `form` is a strptime format, ELAPSED for seconds since some start, or None for ISO 8601 or seconds or
    milliseconds since 1970. Raises ValueError or OverflowError.
    """
    if form == ELAPSED:
        return _EPOCH + timedelta(seconds=float(text.replace(",", ".")))
    if form is None:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = _from_epoch(text)
    else:
        moment = datetime.strptime(text, form)  # noqa: DTZ007  the zone follows
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _from_epoch(text: str) -> datetime:
    seconds = float(text)
    if seconds >= _MILLISECONDS_FROM:
        seconds /= 1000.0
    if not _SECONDS_FROM <= seconds < _MILLISECONDS_FROM:
        msg = f"{text} is no time since 1970"
        raise ValueError(msg)
    return _EPOCH + timedelta(seconds=seconds)


def looks_like_time(text: str) -> bool:
    """Whether the text can be read as a time in any way known here."""
    return any(_fits(text, form) for form in (None, *FORMATS))


def _fits(text: str, form: str | None) -> bool:
    try:
        parse(text, form, UTC)
    except (ValueError, OverflowError):
        return False
    return True


def find_format(texts: Sequence[str], first_line: int) -> str | None:
    """Return the strptime format that fits the first text and most likely the others; None for ISO or epoch.

    Raises RecordingError when none fits the first, or when day and month cannot be told apart.
    """
    sample = texts[:: max(1, len(texts) // _PROBED)]
    possible = [form for form in (None, *FORMATS) if _fits(sample[0], form)]
    if not possible:
        msg = (
            f"line {first_line}: {sample[0][:40]!a} is not a time known here; "
            "give its format by hand, such as --time-format '%d.%m.%Y %H:%M:%S'"
        )
        raise RecordingError(msg)
    fitting = [form for form in possible if all(_fits(text, form) for text in sample)]
    if not fitting:
        # Some line is broken: whoever parses them all finds out which.
        return possible[0]
    if None in fitting:
        return None
    if len(fitting) > 1:
        forms = " or ".join(f"--time-format '{form}'" for form in fitting)
        msg = f"line {first_line}: in {sample[0][:40]!a} day and month cannot be told apart; give {forms}"
        raise RecordingError(msg)
    return fitting[0]
