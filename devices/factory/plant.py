"""Which machines stand in the plant, and what each says of itself."""

from dataclasses import dataclass
from typing import Final

from broker.messages import Announce, Place
from devices.factory import noise
from devices.factory.kinds import KINDS, Kind
from devices.factory.shifts import PATTERNS

DEFAULT_MACHINES: Final = 2 * len(KINDS)
_SITE: Final = "Main plant"
_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """One machine. `name` is its level in topics."""

    name: str
    kind: Kind
    display_name: str
    place: Place
    rated_kw: float
    shifts: str

    def announce(self) -> Announce:
        """Return what the machine says of itself on the bus."""
        return Announce(
            name=self.display_name,
            type=self.kind.name,
            place=self.place,
            metrics={name: metric.info(name, self.rated_kw) for name, metric in self.kind.metrics.items()},
            rated_power_kw=self.rated_kw,
        )


_RESTING: Final = tuple(sorted(name for name in PATTERNS if name != "continuous"))


def plant(machines: int = DEFAULT_MACHINES) -> tuple[MachineSpec, ...]:
    """Return that many machines, one of each kind in turn, the same ones each time.

    The first of a kind has the kind's usual size and rests at weekends, the second works on: shift patterns
    alternate. Raises ValueError below 1.
    """
    if machines < 1:
        msg = f"a plant of {machines} machines cannot be built: give at least 1"
        raise ValueError(msg)
    return tuple(_machine(index) for index in range(machines))


def _machine(index: int) -> MachineSpec:
    kind = tuple(KINDS.values())[index % len(KINDS)]
    number = index // len(KINDS) + 1
    name = f"{kind.name}-{number}"
    size = 1.0
    if number > 1:
        size = 0.7 + 0.6 * float(noise.uniform(noise.keys(0, (name, "size")))[0])
    return MachineSpec(
        name=name,
        kind=kind,
        display_name=f"{kind.title} {number}",
        place=Place(site=_SITE, area=kind.area, line=f"Line {(number - 1) % _LINES + 1}"),
        rated_kw=round(kind.rated_kw * size, 1),
        shifts="continuous"
        if number % 2 == 0
        else _RESTING[(index % len(KINDS) + number + 1) % len(_RESTING)],
    )
