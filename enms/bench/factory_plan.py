"""Which fault of the simulated factory is put in when: one of every kind on every machine in a week.

A fault lasts five hours of a weekday afternoon, between two meals, so that the machine works while it is
there, and the night after it is for recovering. Standby waste lasts twelve hours of the Sunday: for machines
that rest at weekends while they are off, for the others only their two meal breaks can show it. The order
of the kinds differs from machine to machine, so that no weekday belongs to one kind.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from devices.factory import Fault, FaultKind, MachineSpec

SEVERITY: Final = 0.6
AFTERNOON: Final = timedelta(hours=12)
LASTS: Final = timedelta(hours=5)
SUNDAY: Final = timedelta(days=6, hours=8)
SUNDAY_LASTS: Final = timedelta(hours=12)
WEEKDAYS: Final = 5


def week_of_faults(specs: Iterable[MachineSpec], monday: datetime) -> tuple[Fault, ...]:
    """Return every kind of fault for each machine, none at the same time on one machine.

    `monday` is the midnight (UTC) the week begins with. Raises ValueError when a machine can have more kinds
    of faults than there are weekdays for.
    """
    faults: list[Fault] = []
    for number, spec in enumerate(specs):
        kinds = sorted(spec.kind.faults - {FaultKind.STANDBY_WASTE})
        if len(kinds) > WEEKDAYS:
            msg = f"{spec.name} can have {len(kinds)} kinds of faults besides standby waste: {WEEKDAYS} fit"
            raise ValueError(msg)
        for place, kind in enumerate(kinds):
            day = timedelta(days=(place + number) % WEEKDAYS)
            faults.append(Fault(spec.name, kind, SEVERITY, monday + day + AFTERNOON, LASTS))
        if FaultKind.STANDBY_WASTE in spec.kind.faults:
            waste = FaultKind.STANDBY_WASTE
            faults.append(Fault(spec.name, waste, SEVERITY, monday + SUNDAY, SUNDAY_LASTS))
    return tuple(sorted(faults, key=lambda fault: (fault.start, fault.machine)))
