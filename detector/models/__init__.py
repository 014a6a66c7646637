"""Models of what is normal for a machine. One contract, one suite of checks over all."""

from detector.models.base import (
    Explanation,
    Follower,
    MetricView,
    Model,
    Patience,
    TooFewRowsError,
    WrongModelError,
)
from detector.models.regimes import RegimesModel
from detector.models.residual import ResidualModel
from detector.rows import Rows
from detector.tuning import Tuning

KINDS: dict[str, type[Model]] = {kind.kind: kind for kind in (ResidualModel, RegimesModel)}
"""Every kind of model there is, by the name it is stored under."""

__all__ = [
    "KINDS",
    "Explanation",
    "Follower",
    "MetricView",
    "Model",
    "Patience",
    "RegimesModel",
    "ResidualModel",
    "TooFewRowsError",
    "WrongModelError",
    "learn_best",
]


def learn_best(rows: Rows, tuning: Tuning) -> Model:
    """Learn the kind of model the rows support: by regime where power has regimes, else the plain one.

    Raises TooFewRowsError.
    """
    model = RegimesModel.learn(rows, tuning)
    return model if model.splits else model.whole
