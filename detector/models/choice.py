"""Which kind of model a machine gets: what its data supports, or what is wanted if its data supports that."""

from typing import Final

from detector.models.base import Model
from detector.models.forest import ForestModel
from detector.models.regimes import RegimesModel
from detector.models.residual import ResidualModel
from detector.rows import Rows
from detector.tuning import Tuning

KINDS: Final[dict[str, type[Model]]] = {
    kind.kind: kind for kind in (ResidualModel, RegimesModel, ForestModel)
}
"""Every kind of model there is, by the name it is stored under."""


class WrongKindError(ValueError):
    """The kind of model that is wanted cannot be learnt from these rows; want another or leave it open."""


def choose(rows: Rows, tuning: Tuning, wanted: str | None = None) -> Model:
    """Learn the kind of model that `wanted` names, else the one the rows support best.

    Raises TooFewRowsError, and WrongKindError where there is no such kind or the rows do not support it.
    """
    if wanted is not None and wanted not in KINDS:
        msg = f"there is no kind of model named {wanted}; there are {', '.join(KINDS)}"
        raise WrongKindError(msg)
    if wanted is None:
        model = RegimesModel.learn(rows, tuning)
        return model if model.splits else model.whole
    model = KINDS[wanted].learn(rows, tuning)
    return model
