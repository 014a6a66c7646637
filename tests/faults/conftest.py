"""What the fault tests share. `ENMS_TEST_LONG=1` makes them as long as the promises are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.site import Site, running_site
from fixtures.postgres import PrivatePostgres


@pytest.fixture
def site(folder: Path, postgres: PrivatePostgres) -> Iterator[Site]:
    """Broker, database and gateway, each a process of its own, on an empty database."""
    with running_site(folder, postgres) as one:
        yield one
