"""Which kind of model a machine gets: what its data supports, or what is wanted if its data supports that."""

from typing import Final

from detector.models.base import Model, TooFewRowsError
from detector.models.forest import ForestModel
from detector.models.regimes import RegimesModel
from detector.models.residual import ResidualModel
from detector.rows import Rows
from detector.states import power_metric
from detector.tuning import Tuning

KINDS: Final[dict[str, type[Model]]] = {
    kind.kind: kind for kind in (ResidualModel, RegimesModel, ForestModel)
}
"""Every kind of model there is, by the name it is stored under."""
ONE_MODE: Final = "its power shows no states apart"
REASONS: Final = {
    ResidualModel.kind: "Its metrics are compared with each other and with their own past.",
    RegimesModel.kind: "Its power shows states apart, so its metrics are compared within each of them.",
    ForestModel.kind: "An isolation forest was asked for.",
}
"""Why a machine has a model of this kind where none was wanted."""


class WrongKindError(ValueError):
    """The kind of model that is wanted cannot be learnt from these rows; want another or leave it open."""


def choose(rows: Rows, tuning: Tuning, wanted: str | None = None) -> Model:
    """Learn the kind of model that `wanted` names, else the first of `suited` that the rows suffice for.

    Raises TooFewRowsError, and WrongKindError where there is no such kind or the rows do not support it.
    """
    if wanted is None:
        return _learn_first(suited(rows), rows, tuning)
    if wanted not in KINDS:
        msg = f"there is no kind of model named {wanted!r}; there are {', '.join(KINDS)}"
        raise WrongKindError(msg)
    why_not = unfit(wanted, rows)
    model = None if why_not else KINDS[wanted].learn(rows, tuning)
    if isinstance(model, RegimesModel) and not model.splits:
        model, why_not = None, ONE_MODE
    if model is None:
        msg = f"no {wanted} model can be learnt from these rows: {why_not}; a {suited(rows)[-1]} model can"
        raise WrongKindError(msg)
    return model


def suited(rows: Rows) -> tuple[str, ...]:
    """Return the kinds to try where none is wanted, the best first; the last takes any rows."""
    rules = {
        RegimesModel.kind: not unfit(RegimesModel.kind, rows),
        ResidualModel.kind: True,
    }
    return tuple(kind for kind, holds in rules.items() if holds)


def unfit(kind: str, rows: Rows) -> str:
    """Return why no rows of such metrics can teach this kind of model; empty where they can."""
    if kind == RegimesModel.kind and power_metric(rows.metrics) is None:
        return "none of its metrics is its power"
    return ""


def explained(model: Model, wanted: str | None = None) -> str:
    """Return in one sentence why a machine has this model."""
    if wanted is not None:
        return f"A {model.kind} model was asked for."
    return REASONS[model.kind]


def _learn_first(kinds: tuple[str, ...], rows: Rows, tuning: Tuning) -> Model:
    """Learn the first of these kinds that does not need more rows than there are."""
    for kind in kinds[:-1]:
        try:
            model = KINDS[kind].learn(rows, tuning)
        except TooFewRowsError:
            continue
        return model.whole if isinstance(model, RegimesModel) and not model.splits else model
    return KINDS[kinds[-1]].learn(rows, tuning)
