"""Models of what is normal for a machine. One contract, one suite of checks over all."""

from detector.models.base import Explanation, MetricView, Model, TooFewRowsError, WrongModelError
from detector.models.residual import ResidualModel

KINDS: dict[str, type[Model]] = {ResidualModel.kind: ResidualModel}
"""Every kind of model there is, by the name it is stored under."""

__all__ = [
    "KINDS",
    "Explanation",
    "MetricView",
    "Model",
    "ResidualModel",
    "TooFewRowsError",
    "WrongModelError",
]
