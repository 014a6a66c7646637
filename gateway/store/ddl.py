"""Print all SQL that makes a database: `python -m gateway.store.ddl plain|apache|timescale`."""

import sys

from gateway.store.capability import Capability
from gateway.store.migrations import ddl


def main() -> None:
    """Print the SQL for the capability that is the only argument."""
    try:
        (capability,) = map(Capability, sys.argv[1:])
    except ValueError:
        sys.exit(f"usage: python -m gateway.store.ddl {'|'.join(Capability)}")
    sys.stdout.write(ddl(capability))


if __name__ == "__main__":
    main()
