"""An injection moulding machine: hydraulics that follow the cycle, and a heated barrel."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from devices.factory import base
from devices.factory.base import Kind, Metric, Moment, Outcome
from devices.factory.faults import EVERY_MACHINE, FaultKind
from devices.factory.noise import Floats

_BARREL_C = 230.0
_PIECES_A_MINUTE = 8.0


class InjectionMoulding(Kind):
    """Each piece costs the same work; the heaters hold the barrel, in breaks too."""

    name = "injection-moulding"
    title = "Injection moulding machine"
    area = "Moulding"
    rated_kw = 60.0
    base_load = 0.78
    startup_s = 1500.0
    metrics = base.table(
        power_kw=base.POWER,
        load_pct=base.LOAD,
        pressure_bar=Metric(0.0, 220.0, 0.3, 0.006),
        temperature_c=Metric(-20.0, 320.0, 0.3),
        current_a=base.CURRENT,
        production_count=base.PIECES,
    )
    lags_s = MappingProxyType({"temperature_c": 900.0, "oil_c": 1800.0})
    faults = EVERY_MACHINE | {FaultKind.LEAK, FaultKind.FOULING, FaultKind.PHASE_LOSS}

    def run(self, now: Moment, state: Mapping[str, Floats]) -> Outcome:
        """Let the pump work for nothing at a leak; let a lost phase take heaters and torque."""
        leak, fouling = now.fault(FaultKind.LEAK), now.fault(FaultKind.FOULING)
        phase_loss = now.fault(FaultKind.PHASE_LOSS)
        made = np.where(now.ramp < 1.0, 0.0, now.load) * (1.0 - 0.12 * phase_loss)
        pumping = made * (0.52 + 0.02 * now.brisk) * (1.0 + 0.22 * leak + 0.1 * fouling + 0.03 * now.wear)
        idling = np.where(now.ready > 0.0, 0.11 + 0.08 * leak, 0.0)
        barrel_c = np.where(now.ready > 0.0, _BARREL_C * (1.0 - 0.12 * phase_loss), base.ROOM_C + 2.0)
        # Heaters hold what the shell loses, give 60 K of it back quickly, and melt what is moulded.
        missing = np.clip((barrel_c - state["temperature_c"]) / 60.0, 0.0, 1.0)
        heaters = np.where(now.ready > 0.0, 0.07 + 0.2 * missing + 0.09 * made, 0.004)
        power = now.rated_kw * (pumping + idling + heaters * (1.0 - 0.15 * phase_loss))
        power = base.limited(power + now.standby_kw(), now.rated_kw)
        oil_c = base.ROOM_C + 30.0 * (pumping + idling) * (1.0 + 0.6 * fouling)
        viscous = 1.0 - 0.003 * (state["oil_c"] - 42.0)
        pressure = np.where(now.ready > 0.0, 35.0 + 130.0 * made, 0.0) * viscous * (1.0 - 0.18 * leak)
        pieces = np.floor(_PIECES_A_MINUTE * made + 0.5 + 0.45 * now.brisk * (made > 0.0))
        return Outcome(
            values={
                "power_kw": power,
                "load_pct": 100.0 * made,
                "pressure_bar": pressure,
                "temperature_c": state["temperature_c"],
                "current_a": base.current_a(power, now.rated_kw, phase_loss),
                "production_count": pieces,
            },
            targets={"temperature_c": barrel_c + 1.5 * now.slow * made, "oil_c": oil_c},
        )
