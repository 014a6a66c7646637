"""A ventilation unit with a heat pump that heats and cools a hall."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from devices.factory import base
from devices.factory.base import Kind, Metric, Moment, Outcome
from devices.factory.faults import EVERY_MACHINE, FaultKind
from devices.factory.noise import Floats

_OPEN_C = 21.0
_SETBACK_C = 17.0
_FULL_FAN_RPM = 1450.0
_M3H_A_KW = 320.0


class Hvac(Kind):
    """Power is the fan's, with the cube of its speed, and the heat pump's, with the distance to 21 °C."""

    name = "hvac"
    title = "Ventilation unit"
    area = "Building"
    rated_kw = 45.0
    base_load = 0.75
    startup_s = 300.0
    always_on = True
    metrics = base.table(
        power_kw=base.POWER,
        load_pct=base.LOAD,
        flow_m3h=Metric(0.0, 400.0, 0.4, 0.006, a_kw=True),
        speed_rpm=Metric(0.0, 1800.0, 1.5),
        temperature_c=Metric(-20.0, 60.0, 0.08),
        vibration_mm_s=base.VIBRATION,
        outdoor_temperature_c=base.OUTDOOR,
    )
    lags_s = MappingProxyType({"temperature_c": 2400.0, "duty": 600.0})
    faults = EVERY_MACHINE | {
        FaultKind.LEAK,
        FaultKind.BEARING_WEAR,
        FaultKind.FOULING,
        FaultKind.PHASE_LOSS,
    }

    def run(self, now: Moment, state: Mapping[str, Floats]) -> Outcome:
        """Let a refrigerant leak make the compressor work longer, a clogged filter the fan harder."""
        leak, fouling = now.fault(FaultKind.LEAK), now.fault(FaultKind.FOULING)
        phase_loss = now.fault(FaultKind.PHASE_LOSS)
        wanted_c = np.where(now.ready > 0.0, _OPEN_C, _SETBACK_C)
        people = 3.0 * now.load
        heat = np.maximum(wanted_c - now.outdoor_c - people, 0.0) / 34.0
        cool = np.where(now.ready > 0.0, np.maximum(now.outdoor_c + people - wanted_c - 1.0, 0.0), 0.0) / 20.0
        duty = heat + cool
        speed = (0.3 + 0.55 * now.load + 0.1 * np.minimum(duty, 1.0)) * (1.0 - 0.06 * phase_loss)
        speed = np.where(now.ready > 0.0, speed, 0.22 + 0.2 * np.minimum(duty, 1.0))
        speed = np.minimum(speed * (1.0 + 0.01 * now.brisk) * (1.0 + 0.1 * fouling), 1.0)
        air = speed * (1.0 - 0.3 * fouling)
        fan = 0.42 * speed**3 * (1.0 + 0.35 * fouling) * base.friction(now)
        worked = state["duty"] / (1.0 - 0.4 * leak)
        heat_pump = 0.55 * np.minimum(worked, 1.0) * (1.0 + 0.02 * now.wear + 0.06 * phase_loss)
        power = now.rated_kw * (fan + heat_pump + 0.015) + now.standby_kw()
        power = base.limited(power, now.rated_kw)
        missed = np.maximum(worked - 1.0, 0.0) * 8.0 + 1.8 * leak + 1.0 * fouling
        hall_c = wanted_c + 0.5 * now.slow + np.where(cool > heat, missed, -missed)
        return Outcome(
            values={
                "power_kw": power,
                "load_pct": 100.0 * np.minimum(fan + heat_pump, 1.0),
                "flow_m3h": _M3H_A_KW * now.rated_kw * air,
                "speed_rpm": _FULL_FAN_RPM * speed,
                "temperature_c": state["temperature_c"],
                "vibration_mm_s": base.vibration_mm_s(now, speed, 1.9),
                "outdoor_temperature_c": np.full_like(power, now.outdoor_c),
            },
            targets={"temperature_c": hall_c, "duty": duty},
        )
