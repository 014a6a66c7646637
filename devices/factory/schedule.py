"""A schedule of faults such as a plant has them, drawn from a seed."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from devices.factory import noise
from devices.factory.faults import Fault
from devices.factory.plant import MachineSpec

_WEEK: Final = timedelta(weeks=1)
_SHORTEST: Final = timedelta(minutes=40)
_LONGEST: Final = timedelta(hours=6)


def occasional_faults(
    plant: Iterable[MachineSpec], seed: int, begin: datetime, end: datetime, a_week: float = 0.25
) -> tuple[Fault, ...]:
    """Return faults between `begin` and `end`: `a_week` for each machine on average, in order of start.

    Each is one its machine can have, of a severity from 0.4 to 1, and lasts from 40 minutes to 6 hours.
    """
    drawn: list[Fault] = []
    weeks = (end - begin) / _WEEK
    for spec in plant:
        count, more = divmod(a_week * weeks, 1.0)
        dice = noise.uniform(noise.keys(seed, (spec.name, "schedule")), -1)
        kinds = sorted(spec.kind.faults)
        for number in range(int(count) + (float(dice[0]) < more)):
            keys = noise.keys(
                seed, *((spec.name, f"scheduled {what}") for what in ("kind", "at", "for", "much"))
            )
            kind, at, lasts, much = noise.uniform(keys, number).tolist()
            start = begin + (number + at) * (end - begin) / max(1.0, a_week * weeks)
            drawn.append(
                Fault(
                    machine=spec.name,
                    kind=kinds[int(kind * len(kinds))],
                    severity=0.4 + 0.6 * much,
                    start=start.replace(microsecond=0),
                    duration=_SHORTEST + lasts * (_LONGEST - _SHORTEST),
                )
            )
    return tuple(sorted((f for f in drawn if begin <= f.start < end), key=lambda fault: fault.start))
