"""How long a fault test is: short in the suite, as long as the promises with ENMS_TEST_LONG=1."""

import os
from typing import Final, TypeVar

Figure = TypeVar("Figure")
LONG: Final = bool(os.environ.get("ENMS_TEST_LONG"))


def figure(short: Figure, long: Figure) -> Figure:
    """Return the figure for the form that runs."""
    return long if LONG else short
