"""A simulated factory: machines whose power follows load, shifts, weather, wear and faults."""

from devices.factory.factory import Factory, Row
from devices.factory.faults import Fault, FaultKind
from devices.factory.plant import MachineSpec, plant
from devices.factory.schedule import occasional_faults

__all__ = ["Factory", "Fault", "FaultKind", "MachineSpec", "Row", "occasional_faults", "plant"]
