"""How the gateway itself is: what it depends on, and what it has counted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.committing import Counts


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """`dependencies` answers now, without I/O: `ok` or what is wrong, by name.

    `missing` counts, by client, the numbered messages that never came.
    """

    dependencies: Callable[[], dict[str, str]]
    counts: Counts
    missing: Callable[[], Mapping[str, int]]

    @property
    def ok(self) -> bool:
        """Whether everything the gateway needs answers."""
        return all(state == "ok" for state in self.dependencies().values())
