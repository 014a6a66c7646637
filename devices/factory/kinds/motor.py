"""An asynchronous motor that drives a conveyor straight from the mains."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from devices.factory import base
from devices.factory.base import Kind, Metric, Moment, Outcome
from devices.factory.faults import EVERY_MACHINE, FaultKind
from devices.factory.noise import Floats

_SYNCHRONOUS_RPM = 1500.0
_FULL_SLIP = 0.022


class Motor(Kind):
    """Off when the line is closed; runs empty in breaks; slip grows with load."""

    name = "motor"
    title = "Conveyor drive"
    area = "Assembly"
    rated_kw = 30.0
    base_load = 0.7
    startup_s = 20.0
    metrics = base.table(
        power_kw=base.POWER,
        load_pct=base.LOAD,
        current_a=base.CURRENT,
        speed_rpm=Metric(0.0, 1600.0, 0.4),
        temperature_c=Metric(-20.0, 170.0, 0.15),
        vibration_mm_s=base.VIBRATION,
    )
    lags_s = MappingProxyType({"temperature_c": 1300.0})
    faults = EVERY_MACHINE | {FaultKind.BEARING_WEAR, FaultKind.FOULING, FaultKind.PHASE_LOSS}

    def run(self, now: Moment, state: Mapping[str, Floats]) -> Outcome:
        """On two phases it still turns, with more slip, current, heat and vibration."""
        bearing, phase_loss = now.fault(FaultKind.BEARING_WEAR), now.fault(FaultKind.PHASE_LOSS)
        torque = now.load * (1.0 + 0.05 * now.brisk) + 0.04 * bearing
        turning = np.where(now.ready > 0.0, np.where(now.working > 0.0, now.ramp, 1.0), 0.0)
        slip = _FULL_SLIP * torque * (1.0 + 2.0 * phase_loss)
        shaft = np.where(now.ready > 0.0, 0.12 + 0.82 * torque, 0.0)
        power = now.rated_kw * shaft * base.friction(now) * (1.0 + 0.09 * phase_loss)
        power = base.limited(power + now.standby_kw(), now.rated_kw)
        # Copper losses heat with the square of the current.
        losses = (power / now.rated_kw) ** 2 * (1.0 + 0.7 * phase_loss)
        winding_c = base.ROOM_C + 62.0 * losses * (1.0 + 0.5 * now.fault(FaultKind.FOULING))
        winding_c = winding_c + np.where(now.ready > 0.0, 8.0 + 20.0 * bearing, 0.0)
        return Outcome(
            values={
                "power_kw": power,
                "load_pct": 100.0 * torque * (now.ready > 0.0),
                "current_a": base.current_a(power, now.rated_kw, phase_loss),
                "speed_rpm": _SYNCHRONOUS_RPM * turning * (1.0 - slip),
                "temperature_c": state["temperature_c"],
                "vibration_mm_s": base.vibration_mm_s(now, turning, 1.3),
            },
            targets={"temperature_c": winding_c},
        )
