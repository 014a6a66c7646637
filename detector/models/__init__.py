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
from detector.models.residual_stack import ResidualStack
from detector.models.stack import OneByOne, Pushed, Stack
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
    "Pushed",
    "RegimesModel",
    "ResidualModel",
    "Stack",
    "TooFewRowsError",
    "WrongModelError",
    "learn_best",
    "stack_for",
    "stack_key",
]


def learn_best(rows: Rows, tuning: Tuning) -> Model:
    """Learn the kind of model the rows support: by regime where power has regimes, else the plain one.

    Raises TooFewRowsError.
    """
    model = RegimesModel.learn(rows, tuning)
    return model if model.splits else model.whole


def stack_key(model: Model) -> tuple[str, int]:
    """Return what models must have in common to be in one stack."""
    kind = ResidualStack if isinstance(model, ResidualModel | RegimesModel) else OneByOne
    return kind.__name__, len(model.metrics)


def stack_for(model: Model) -> Stack:
    """Return a new stack for models with the key of this one: in arrays where it can be."""
    if isinstance(model, ResidualModel | RegimesModel):
        return ResidualStack(len(model.metrics))
    return OneByOne()
