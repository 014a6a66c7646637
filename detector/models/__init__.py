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
from detector.models.choice import KINDS, WrongKindError, choose
from detector.models.forest import ForestModel
from detector.models.forest_stack import ForestStack
from detector.models.regimes import RegimesModel
from detector.models.residual import ResidualModel
from detector.models.residual_stack import ResidualStack
from detector.models.stack import OneByOne, Pushed, Stack
from detector.rows import Rows
from detector.tuning import Tuning

__all__ = [
    "KINDS",
    "Explanation",
    "Follower",
    "ForestModel",
    "MetricView",
    "Model",
    "Patience",
    "Pushed",
    "RegimesModel",
    "ResidualModel",
    "Stack",
    "TooFewRowsError",
    "WrongKindError",
    "WrongModelError",
    "choose",
    "learn_best",
    "stack_for",
    "stack_key",
]


def learn_best(rows: Rows, tuning: Tuning) -> Model:
    """Learn the kind of model the rows support best. Raises TooFewRowsError."""
    return choose(rows, tuning)


def stack_key(model: Model) -> tuple[str, int]:
    """Return what models must have in common to be in one stack."""
    if isinstance(model, ForestModel):
        trees, leaves = model.leaf.shape
        return f"{ForestStack.__name__} of {trees} x {leaves}", len(model.metrics)
    kind = ResidualStack if isinstance(model, ResidualModel | RegimesModel) else OneByOne
    return kind.__name__, len(model.metrics)


def stack_for(model: Model) -> Stack:
    """Return a new stack for models with the key of this one: in arrays where it can be."""
    if isinstance(model, ForestModel):
        return ForestStack(len(model.metrics))
    if isinstance(model, ResidualModel | RegimesModel):
        return ResidualStack(len(model.metrics))
    return OneByOne()
