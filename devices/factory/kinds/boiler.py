"""An electric steam boiler for process heat and, in the cold season, for the building."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from devices.factory import base
from devices.factory.base import Kind, Metric, Moment, Outcome
from devices.factory.faults import EVERY_MACHINE, FaultKind
from devices.factory.noise import Floats

_HEATING_LIMIT_C = 16.0
_KGH_A_KW = 1.35
"""Steam at 8 bar from feed water of 90 °C takes 2,390 kJ/kg; a tenth is lost."""


class Boiler(Kind):
    """Steam is process demand plus heating demand, which rises as it gets colder outside."""

    name = "boiler"
    title = "Steam boiler"
    area = "Utilities"
    rated_kw = 220.0
    base_load = 0.5
    startup_s = 1200.0
    always_on = True
    metrics = base.table(
        power_kw=base.POWER,
        load_pct=base.LOAD,
        flow_kgh=Metric(0.0, 1.8, 0.002, 0.008, a_kw=True),
        pressure_bar=Metric(0.0, 14.0, 0.02),
        temperature_c=Metric(-20.0, 230.0, 0.2),
        outdoor_temperature_c=base.OUTDOOR,
    )
    lags_s = MappingProxyType({"temperature_c": 1500.0, "demand": 240.0})
    faults = EVERY_MACHINE | {FaultKind.LEAK, FaultKind.FOULING, FaultKind.PHASE_LOSS}

    def run(self, now: Moment, state: Mapping[str, Floats]) -> Outcome:
        """Scale on the heaters costs efficiency, a leaking trap steam, a lost phase a third of the heat."""
        fouling, phase_loss = now.fault(FaultKind.FOULING), now.fault(FaultKind.PHASE_LOSS)
        cold = max(_HEATING_LIMIT_C - now.outdoor_c, 0.0) / 40.0
        heating = cold * (0.35 + 0.65 * now.ready) * 0.5
        demand = now.load * (1.0 + 0.05 * now.brisk) + heating + 0.25 * now.fault(FaultKind.LEAK)
        heaters = 1.0 - phase_loss / 3.0
        most = 0.98 * heaters - 0.08 * fouling
        delivered = np.minimum(state["demand"], most)
        short = state["demand"] - delivered
        shell = 0.035 * (1.0 + 0.1 * now.wear)
        power = now.rated_kw * (delivered * (1.0 + 0.14 * fouling + 0.015 * now.wear) + shell)
        power = base.limited(power + now.standby_kw(), now.rated_kw)
        # Proportional control: it is the missing pressure that calls for heat, more of it for fewer heaters.
        called = 1.5 * delivered / heaters
        pressure = 8.6 - 2.2 * (1.0 - now.ready) - called - 6.0 * short + 0.08 * now.slow
        # Saturated steam between 4 and 10 bar: 6 K a bar around 170 °C.
        steam_c = 170.0 + 6.0 * (pressure - 8.0) + 9.0 * fouling * delivered
        return Outcome(
            values={
                "power_kw": power,
                "load_pct": 100.0 * delivered,
                "flow_kgh": _KGH_A_KW * now.rated_kw * delivered,
                "pressure_bar": np.maximum(pressure, 0.0),
                "temperature_c": state["temperature_c"],
                "outdoor_temperature_c": np.full_like(power, now.outdoor_c),
            },
            targets={"temperature_c": steam_c, "demand": demand},
        )
