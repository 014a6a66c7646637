"""The kinds of machines there are. A new kind is a file here and a row in this table."""

from types import MappingProxyType
from typing import Final

from devices.factory.base import Kind
from devices.factory.kinds.boiler import Boiler
from devices.factory.kinds.compressor import Compressor
from devices.factory.kinds.hvac import Hvac
from devices.factory.kinds.injection_moulding import InjectionMoulding
from devices.factory.kinds.motor import Motor
from devices.factory.kinds.oven import Oven
from devices.factory.kinds.pump import Pump

KINDS: Final = MappingProxyType(
    {
        kind.name: kind
        for kind in (Compressor(), Boiler(), Hvac(), InjectionMoulding(), Pump(), Motor(), Oven())
    }
)
"""By name, in the order in which a plant is filled."""

__all__ = ["KINDS", "Kind"]
