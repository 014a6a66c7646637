"""A screw compressor that keeps the plant's air network under pressure."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from devices.factory import base
from devices.factory.base import Kind, Metric, Moment, Outcome
from devices.factory.faults import EVERY_MACHINE, FaultKind
from devices.factory.noise import Floats

_NORMAL_BAR = 7.0
_UNLOADED_SHARE = 0.22
_NETWORK_LOSS_SHARE = 0.05
_WORST_LEAK_SHARE = 0.35
_M3H_A_KW = 9.0


class Compressor(Kind):
    """Air asked for and air lost are delivered; what cannot be delivered is missing as pressure.

    Running unloaded costs 22 % of full power; a bar more costs 7 % (the common rule for 7 bar networks).
    """

    name = "compressor"
    title = "Air compressor"
    area = "Utilities"
    rated_kw = 75.0
    base_load = 0.66
    startup_s = 90.0
    always_on = True
    metrics = base.table(
        power_kw=base.POWER,
        load_pct=base.LOAD,
        flow_m3h=Metric(0.0, 12.0, 0.01, 0.006, a_kw=True),
        pressure_bar=Metric(0.0, 10.0, 0.015),
        temperature_c=Metric(-20.0, 120.0, 0.15),
        vibration_mm_s=base.VIBRATION,
        current_a=base.CURRENT,
    )
    lags_s = MappingProxyType({"temperature_c": 700.0, "pressure_bar": 45.0})
    faults = EVERY_MACHINE | {
        FaultKind.LEAK,
        FaultKind.BEARING_WEAR,
        FaultKind.FOULING,
        FaultKind.PHASE_LOSS,
    }

    def run(self, now: Moment, state: Mapping[str, Floats]) -> Outcome:
        """Let a leak take air day and night, a clogged filter and cooler cost power and cooling."""
        fouling, phase_loss = now.fault(FaultKind.FOULING), now.fault(FaultKind.PHASE_LOSS)
        asked = now.load * (1.0 + 0.06 * now.brisk)
        lost = _NETWORK_LOSS_SHARE + _WORST_LEAK_SHARE * now.fault(FaultKind.LEAK)
        wanted = asked + lost * state["pressure_bar"] / _NORMAL_BAR
        most = 1.0 - 0.08 * fouling - 0.25 * phase_loss
        delivered = np.minimum(wanted, most)
        pressure = _NORMAL_BAR - 0.25 * delivered - 4.0 * (wanted - delivered)
        share = _UNLOADED_SHARE + (0.97 - _UNLOADED_SHARE) * delivered
        # Outside of shifts it stops between the few loadings that hold the pressure.
        share = np.where(now.ready > 0.0, share, 0.02 + 1.1 * delivered)
        pressed = 1.0 + 0.07 * (state["pressure_bar"] - _NORMAL_BAR + 0.2)
        drive = share * pressed * base.friction(now) * (1.0 + 0.07 * fouling + 0.05 * phase_loss)
        power = base.limited(now.rated_kw * drive + now.standby_kw(), now.rated_kw)
        heat = 52.0 * power / now.rated_kw * (1.0 + 0.35 * fouling)
        heat = heat + 9.0 * now.fault(FaultKind.BEARING_WEAR) + 10.0 * phase_loss
        room_c = base.ROOM_C + 0.35 * (now.outdoor_c - 10.0)
        turning = np.where(now.ready > 0.0, 1.0, np.minimum(1.0, 2.0 * delivered))
        return Outcome(
            values={
                "power_kw": power,
                "load_pct": 100.0 * delivered,
                "flow_m3h": _M3H_A_KW * now.rated_kw * delivered,
                "pressure_bar": state["pressure_bar"],
                "temperature_c": state["temperature_c"],
                "vibration_mm_s": base.vibration_mm_s(now, turning, 1.6),
                "current_a": base.current_a(power, now.rated_kw, phase_loss),
            },
            targets={"temperature_c": room_c + heat, "pressure_bar": np.maximum(pressure, 0.0)},
        )
