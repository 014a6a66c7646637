"""A sensor's trouble as an explanation: what people are told instead of what the model makes of it."""

from dataclasses import replace

from detector.models import Explanation, MetricView
from detector.sensors import Trouble


def explained(trouble: Trouble, own: Explanation) -> Explanation:
    """Return the trouble as cause and only contributor; the other metrics stay as the model sees them."""
    off = trouble.value - trouble.expected
    usual = max(trouble.high - trouble.low, 1e-9 * max(abs(trouble.expected), 1.0)) / 6.0
    view = MetricView(
        metric=trouble.metric,
        value=trouble.value,
        expected=trouble.expected,
        low=trouble.low,
        high=trouble.high,
        window_value=trouble.value,
        window_expected=trouble.expected,
        window_low=trouble.low,
        window_high=trouble.high,
        sigma=off / usual,
        score=1.0,
        share=1.0,
        by_spread=False,
        frozen=trouble.anomaly_type == "stuck_sensor",
        brief=False,
    )
    others = tuple(replace(one, share=0.0) for one in own.views if one.metric != trouble.metric)
    return Explanation((view, *others), trouble.anomaly_type)
