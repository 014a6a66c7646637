"""Which kind of model a machine gets, and what is said when another is wanted."""

import pytest
from normal_machines import MAKERS

from detector.models import KINDS, TooFewRowsError, WrongKindError, choose
from detector.models.choice import REASONS, explained, suited
from detector.rows import Rows
from detector.tuning import Tuning

TUNING = Tuning()


def rows(name: str) -> Rows:
    return MAKERS[name].make(MAKERS[name].train, 0, 0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("meter", "baseline"),
        ("channel", "single"),
        ("machine", "residual"),
        ("shifts", "regimes"),
        ("fast_channel", "residual"),
    ],
)
def test_a_machine_gets_the_kind_its_data_supports(name: str, kind: str) -> None:
    model = choose(rows(name), TUNING)
    assert model.kind == kind
    assert explained(model) == REASONS[kind]


def test_a_meter_with_too_few_days_gets_what_it_can_until_there_are_more() -> None:
    short = rows("meter").cut(0, 300)
    assert suited(short)[0] == "baseline"
    assert choose(short, TUNING).kind in suited(short)[1:]


def test_a_forest_is_had_where_it_is_wanted_and_nowhere_else() -> None:
    assert all("forest" not in suited(rows(name)) for name in MAKERS)
    model = choose(rows("machine"), TUNING, "forest")
    assert model.kind == "forest"
    assert explained(model, "forest") == "A model of kind forest was asked for."


def test_a_plain_model_can_be_wanted_for_a_machine_with_states() -> None:
    assert choose(rows("shifts"), TUNING, "residual").kind == "residual"


@pytest.mark.parametrize(
    ("name", "wanted", "said"),
    [
        ("machine", "oracle", "no kind of model named 'oracle'; there are residual"),
        ("machine", "baseline", "not one meter .*; residual can be wanted"),
        ("fast_channel", "regimes", "it has one metric"),
        ("machine", "single", "it has 4 metrics and such a model knows one"),
        ("machine", "regimes", "no states that stand apart"),
    ],
)
def test_a_kind_the_rows_do_not_support_is_refused_in_words(name: str, wanted: str, said: str) -> None:
    with pytest.raises(WrongKindError, match=said):
        choose(rows(name), TUNING, wanted)


def test_too_few_rows_are_too_few_for_every_kind() -> None:
    with pytest.raises(TooFewRowsError):
        choose(rows("machine").cut(0, 5), TUNING)


def test_every_kind_but_the_forest_has_a_reason_to_be_chosen() -> None:
    assert set(REASONS) == set(KINDS) - {"forest"}
