"""How much more a machine draws than is expected of it."""

from broker.units import unit_of
from detector.models import Explanation, Model
from detector.signals import SignalFacts
from detector.states import power_metric


def excess_kw(explanation: Explanation, model: Model, facts: SignalFacts) -> float | None:
    """Return the power above what is expected at the last row, in kW; None where no metric tells.

    That is power itself, else energy in kWh: of a counter its rate, else what is given for each interval.
    """
    power = power_metric(model.metrics)
    if power is None:
        power = next((metric for metric in model.metrics if unit_of(metric) == "kWh"), None)
    view = next((one for one in explanation.views if one.metric == power), None)
    if power is None or view is None:
        return None
    counted = power in facts.metrics and facts.metrics.index(power) in facts.counters
    hours = 1.0 if counted or unit_of(power) != "kWh" else model.period_s / 3600.0
    return (view.value - view.expected) / hours
