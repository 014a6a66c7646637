"""A cooling water pump on a frequency converter."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from devices.factory import base
from devices.factory.base import Kind, Metric, Moment, Outcome
from devices.factory.faults import EVERY_MACHINE, FaultKind
from devices.factory.noise import Floats

_FULL_RPM = 2900.0
_M3H_A_KW = 6.0


class Pump(Kind):
    """The affinity laws: flow with speed, head with its square, power with its cube."""

    name = "pump"
    title = "Cooling water pump"
    area = "Utilities"
    rated_kw = 22.0
    base_load = 0.7
    startup_s = 30.0
    always_on = True
    metrics = base.table(
        power_kw=base.POWER,
        flow_m3h=Metric(0.0, 8.0, 0.01, 0.006, a_kw=True),
        pressure_bar=Metric(0.0, 10.0, 0.012),
        speed_rpm=Metric(0.0, 3300.0, 2.0),
        temperature_c=Metric(-20.0, 130.0, 0.12),
        vibration_mm_s=base.VIBRATION,
        current_a=base.CURRENT,
    )
    lags_s = MappingProxyType({"temperature_c": 800.0})
    faults = EVERY_MACHINE | {
        FaultKind.LEAK,
        FaultKind.BEARING_WEAR,
        FaultKind.FOULING,
        FaultKind.PHASE_LOSS,
    }

    def run(self, now: Moment, state: Mapping[str, Floats]) -> Outcome:
        """Lose pressure at a leak and pump against it; let deposits narrow the pipe."""
        leak, fouling = now.fault(FaultKind.LEAK), now.fault(FaultKind.FOULING)
        bearing, phase_loss = now.fault(FaultKind.BEARING_WEAR), now.fault(FaultKind.PHASE_LOSS)
        speed = np.where(now.ready > 0.0, 0.45 + 0.5 * now.load + 0.01 * now.brisk, 0.35)
        speed = np.minimum(speed * (1.0 + 0.08 * leak + 0.07 * fouling), 1.0) * (1.0 - 0.05 * phase_loss)
        flow = speed * (1.0 - 0.25 * fouling + 0.1 * leak)
        head = speed**2 * (1.0 + 0.12 * fouling - 0.3 * leak) * (1.0 - 0.02 * now.wear)
        drive = 0.05 + 0.9 * speed**3 * (1.0 + 0.08 * leak + 0.06 * fouling + 0.08 * phase_loss)
        power = now.rated_kw * drive * base.friction(now)
        power = base.limited(power + now.standby_kw(), now.rated_kw)
        bearing_c = base.ROOM_C + 0.2 * (now.outdoor_c - 10.0) + 30.0 * power / now.rated_kw
        return Outcome(
            values={
                "power_kw": power,
                "flow_m3h": _M3H_A_KW * now.rated_kw * flow,
                "pressure_bar": 6.0 * head,
                "speed_rpm": _FULL_RPM * speed,
                "temperature_c": state["temperature_c"],
                "vibration_mm_s": base.vibration_mm_s(now, speed, 1.5),
                "current_a": base.current_a(power, now.rated_kw, phase_loss),
            },
            targets={"temperature_c": bearing_c + 24.0 * bearing + 14.0 * phase_loss},
        )
