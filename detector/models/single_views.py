"""What a channel's stretch is shown against: the mean of the stretches most like it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from broker.messages import AnomalyType
from detector.models.base import Explanation, MetricView
from detector.rows import Floats

MOST: Final = 0.6
"""So much of the whole deviation in the newest step makes a spike."""
ONE_SIDED: Final = 0.8
"""So much of the deviation to one side, over the whole stretch, makes a shift."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """`values` and what was `expected`, newest first, in spreads from the center; `echo` is their weight."""

    values: Floats
    expected: Floats
    echo: Floats


def explained(
    metric: str,
    value: float,
    stretch: Stretch,
    usual: tuple[float, float],
    score: float,
    scaling: tuple[float, float],
) -> Explanation:
    """View the last row; `usual` is the usual limit of distances, and the distance at the threshold.

    Low and high are where the last value alone, or the whole stretch, would reach the threshold.
    """
    center, spread = scaling
    limit, edge = usual
    weight = stretch.echo / stretch.echo.sum()
    mean, mean_expected = float(weight @ stretch.values), float(weight @ stretch.expected)
    whole = edge / float(np.sqrt(stretch.echo.sum()))
    cause = cause_of(stretch)
    expected = center + spread * float(stretch.expected[0])
    view = MetricView(
        metric=metric,
        value=value,
        expected=expected,
        low=expected - spread * edge,
        high=expected + spread * edge,
        window_value=center + spread * mean,
        window_expected=center + spread * mean_expected,
        window_low=center + spread * (mean_expected - whole),
        window_high=center + spread * (mean_expected + whole),
        sigma=(mean - mean_expected) * float(np.sqrt(stretch.echo.sum())) / limit,
        score=score,
        share=1.0,
        by_spread=cause == "pattern",
        frozen=False,
        brief=cause == "spike",
    )
    return Explanation((view,), cause if score >= 1.0 else None)


def cause_of(stretch: Stretch) -> AnomalyType:
    """Tell a spike (the newest step alone), a shift (all to one side) and another pattern apart."""
    off = stretch.values - stretch.expected
    squares = stretch.echo * np.square(off)
    if squares[0] >= MOST * squares.sum():
        return "spike"
    one_sided = abs(float(stretch.echo @ off)) >= ONE_SIDED * float(stretch.echo @ np.abs(off))
    return "level_shift" if one_sided else "pattern"
