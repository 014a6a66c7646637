"""Which kind of model a machine gets: what its data supports, or what is wanted if its data supports that."""

from collections.abc import Mapping
from typing import Final

from detector.models.base import Model, TooFewRowsError
from detector.models.baseline import BaselineModel, supports
from detector.models.forest import ForestModel
from detector.models.regimes import RegimesModel
from detector.models.residual import ResidualModel
from detector.models.single import SingleModel
from detector.rows import Rows, usual_period_s
from detector.tuning import Tuning

KINDS: Final[dict[str, type[Model]]] = {
    kind.kind: kind for kind in (ResidualModel, RegimesModel, BaselineModel, SingleModel, ForestModel)
}
"""Every kind of model there is, by the name it is stored under."""
SLOW_PERIOD_S: Final = 60.0
"""From this period on one metric by itself says most by its own past days and hours."""
REASONS: Final[Mapping[str, str]] = {
    BaselineModel.kind: "It is metered energy, so it is set against what time and drivers should take.",
    SingleModel.kind: "It is one slow metric, so it is compared with what it has long been.",
    RegimesModel.kind: "It has states that stand apart, so its metrics are compared within each of them.",
    ResidualModel.kind: "Its metrics are compared with each other and with their own past.",
}
"""Why a machine has a model of this kind where none was wanted. A forest is only ever wanted."""


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
        model, why_not = None, "it has no states that stand apart"
    if model is None:
        msg = f"no {wanted} model can be learnt here: {why_not}; {suited(rows)[-1]} can be wanted"
        raise WrongKindError(msg)
    return model


def suited(rows: Rows) -> tuple[str, ...]:
    """Return the kinds to try where none is wanted, the best first; the last takes any rows."""
    rules = {
        BaselineModel.kind: supports(rows),
        SingleModel.kind: len(rows.metrics) == 1 and usual_period_s(rows.ts_s) >= SLOW_PERIOD_S,
        RegimesModel.kind: not unfit(RegimesModel.kind, rows),
        ResidualModel.kind: True,
    }
    return tuple(kind for kind, holds in rules.items() if holds)


def unfit(kind: str, rows: Rows) -> str:
    """Return why this kind of model cannot be learnt from rows of such metrics; empty where it can."""
    if kind == BaselineModel.kind and not supports(rows):
        return "it is not one meter in kWh or kW, read every five minutes or slower, and what drives it"
    if kind == RegimesModel.kind and len(rows.metrics) == 1:
        return "it has one metric, and states are told by several"
    if kind == SingleModel.kind and len(rows.metrics) != 1:
        return f"it has {len(rows.metrics)} metrics and such a model knows one"
    return ""


def explained(model: Model, wanted: str | None = None) -> str:
    """Return in one sentence why a machine has this model."""
    return REASONS[model.kind] if wanted is None else f"A model of kind {wanted} was asked for."


def _learn_first(kinds: tuple[str, ...], rows: Rows, tuning: Tuning) -> Model:
    """Learn the first of these kinds that does not need more rows than there are."""
    for kind in kinds[:-1]:
        try:
            model = KINDS[kind].learn(rows, tuning)
        except TooFewRowsError:
            continue
        return model.whole if isinstance(model, RegimesModel) and not model.splits else model
    return KINDS[kinds[-1]].learn(rows, tuning)
