from datetime import UTC, datetime

import pytest

from gateway.store import NumberedBatch, SourceMark
from gateway.watermarks import Said, accepts, merge

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def is_machine(name: str) -> bool:
    return name == "press-7"


@pytest.mark.parametrize(
    ("client", "boot", "said", "mark"),
    [
        ("simulator", "b", {"simulator": Said("b")}, "a mark"),
        ("simulator", "c", {"simulator": Said("b")}, "none"),
        ("simulator", "b", {}, "none"),
        ("press-7", "b", {}, "a mark"),
        ("press-7", "b", {"press-7": Said("b")}, "a mark"),
        ("press-7", "forged", {"press-7": Said("b")}, "none"),
        ("stranger", "b", {"press-7": Said("b")}, "none"),
    ],
)
def test_a_client_has_a_mark_where_its_own_status_names_the_boot_or_it_is_a_machine(
    client: str, boot: str, said: dict[str, Said], mark: str
) -> None:
    assert accepts(client, boot, said, is_machine) is (mark == "a mark")


def test_numbers_of_nobody_we_know_change_nothing_and_are_handed_back() -> None:
    taken = [NumberedBatch("stranger", "b", (1, 2)), NumberedBatch("press-7", "b", (2, 1, 4))]
    marks, refused = merge([], taken, {}, is_machine, NOW)
    assert marks == [SourceMark("press-7", "b", 2, ((4, 4),), NOW)]
    assert refused == taken[:1]


def test_several_batches_of_a_boot_become_one_mark() -> None:
    taken = [NumberedBatch("press-7", "b", (3,)), NumberedBatch("press-7", "b", (1, 2))]
    before = [SourceMark("press-7", "a", 9, (), NOW)]
    marks, _ = merge(before, taken, {}, is_machine, NOW)
    assert marks == [SourceMark("press-7", "b", 3, (), NOW)], "the boot before it is left as it was"


def test_late_messages_of_the_boot_before_have_no_part_in_the_new_mark() -> None:
    said = {"simulator": Said("new")}
    taken = [NumberedBatch("simulator", "old", (7,)), NumberedBatch("simulator", "new", (1,))]
    marks, refused = merge([SourceMark("simulator", "old", 6, (), NOW)], taken, said, is_machine, NOW)
    assert marks == [SourceMark("simulator", "new", 1, (), NOW)]
    assert refused == taken[:1]


def test_a_source_that_went_off_line_keeps_its_mark_moving() -> None:
    before = [SourceMark("simulator", "b", 6, (), NOW)]
    marks, refused = merge(before, [NumberedBatch("simulator", "b", (7,))], {}, is_machine, NOW)
    assert marks[0].seq == 7
    assert refused == []


def test_a_boot_begins_at_what_its_status_says_it_still_has() -> None:
    said = {"simulator": Said("b", 5000)}
    marks, _ = merge([], [NumberedBatch("simulator", "b", (5000, 5002))], said, is_machine, NOW)
    assert (marks[0].seq, marks[0].above) == (5000, ((5002, 5002),))
