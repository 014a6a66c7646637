"""An electric continuous oven under temperature control."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from devices.factory import base
from devices.factory.base import Kind, Metric, Moment, Outcome
from devices.factory.faults import EVERY_MACHINE, FaultKind
from devices.factory.noise import Floats

_SET_C = 210.0
_FULL_POWER_C = 330.0
"""Where the empty oven would end at full power: its walls then lose all of it."""
_WARE_SHARE = 0.34
_PIECES_A_MINUTE = 40.0


class Oven(Kind):
    """Heat in equals heat lost through the walls plus heat carried off by the ware."""

    name = "oven"
    title = "Continuous oven"
    area = "Baking"
    rated_kw = 130.0
    base_load = 0.75
    startup_s = 2400.0
    metrics = base.table(
        power_kw=base.POWER,
        load_pct=base.LOAD,
        temperature_c=Metric(-20.0, 350.0, 0.25),
        current_a=base.CURRENT,
        production_count=base.PIECES,
    )
    lags_s = MappingProxyType({"temperature_c": 1800.0, "ware": 300.0})
    faults = EVERY_MACHINE | {FaultKind.FOULING, FaultKind.PHASE_LOSS, FaultKind.LEAK}

    def run(self, now: Moment, state: Mapping[str, Floats]) -> Outcome:
        """Lose heat at a leaking door seal all day, and a third of the heaters with a lost phase."""
        fouling, phase_loss = now.fault(FaultKind.FOULING), now.fault(FaultKind.PHASE_LOSS)
        made = np.where(now.ramp < 1.0, 0.0, now.load)
        walls = 1.0 + 0.3 * now.fault(FaultKind.LEAK) + 0.03 * now.wear
        span = _FULL_POWER_C - base.ROOM_C
        oven_c = state["temperature_c"]
        carried = _WARE_SHARE * state["ware"] * (oven_c - base.ROOM_C) / (_SET_C - base.ROOM_C)
        holding = walls * (_SET_C - base.ROOM_C) / span + carried
        wanted = holding + np.clip((_SET_C - oven_c) / 15.0, -1.0, 1.0)
        most = 1.0 - phase_loss / 3.0
        heating = np.where(now.ready > 0.0, np.clip(wanted, 0.0, most), 0.0)
        # Soot on the heaters: more power for the same heat.
        power = now.rated_kw * (
            0.93 * heating * (1.0 + 0.1 * fouling) + np.where(now.ready > 0.0, 0.04, 0.003)
        )
        power = base.limited(power * (1.0 + 0.01 * now.brisk) + now.standby_kw(), now.rated_kw)
        settles_c = base.ROOM_C + span * (heating - carried) / walls
        unevenness = np.where(now.ready > 0.0, 0.6 * phase_loss, 0.0)
        return Outcome(
            values={
                "power_kw": power,
                "load_pct": 100.0 * made,
                "temperature_c": oven_c,
                "current_a": power * 1000.0 / (3.0 * 230.0) * (1.0 + unevenness),
                "production_count": np.floor(_PIECES_A_MINUTE * made * (1.0 + 0.03 * now.brisk) + 0.5),
            },
            targets={"temperature_c": settles_c, "ware": made},
        )
