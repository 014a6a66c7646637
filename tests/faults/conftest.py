"""What the fault tests share. `ENMS_TEST_LONG=1` makes them as long as the promises are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.site import Site, running_site


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    """Broker, database and gateway, each a process of its own, on an empty database."""
    with running_site(folder) as one:
        yield one
