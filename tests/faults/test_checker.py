"""The checker finds every kind of violation, and nothing in a history that is as it should be."""

from pathlib import Path
from typing import Any

import pytest
from faults.checker import check
from faults.history import History, read

Line = dict[str, Any]


def sent(seq: int, *, numbered: bool = False, **more: Any) -> Line:
    plain = {
        "client": "line",
        "boot": "b1",
        "machine": "m1",
        "metric": "n_count",
        "value": seq,
        "ts_ms": 1000 + seq,
        "key": None,
    }
    return {"did": "sent", "at": seq, "seq": seq, "numbered": numbered, **plain, **more}


def acknowledged(seq: int) -> Line:
    return {"did": "acknowledged", "at": seq, "client": "line", "boot": "b1", "seq": seq}


def stored(seq: int, **more: Any) -> Line:
    body = {"machine": "m1", "metric": "n_count", "value": float(seq), "ts_ms": 1000 + seq}
    return {"did": "stored", "at": 99, **body, **more}


def mark(seq: int, boot: str = "b1") -> Line:
    return {"did": "committed", "at": seq, "client": "line", "boot": boot, "seq": seq}


def alarm(at: int, state: str) -> Line:
    return {"did": "alarm", "at": at, "machine": "m1", "code": "power", "state": state}


def commanded(at: int, verb: str, user: str = "olga") -> Line:
    return {"did": "commanded", "at": at, "machine": "m1", "code": "power", "verb": verb, "user": user}


GOOD = [
    *(sent(seq) for seq in (1, 2, 3)),
    *(acknowledged(seq) for seq in (1, 2)),
    *(stored(seq) for seq in (1, 2)),
]
NUMBERED = [
    *(sent(seq, numbered=True) for seq in (1, 2, 3)),
    *(stored(seq) for seq in (1, 2, 3)),
    mark(1),
    mark(3),
    {"did": "looked", "at": 5, "client": "line", "boot": "b1", "seq": 3, "stored": 3},
]
UNTIMED = [
    *(sent(seq, ts_ms=None) for seq in (1, 2)),
    *(acknowledged(seq) for seq in (1, 2)),
    *(stored(seq, ts_ms=5000) for seq in (1, 2)),
]
REFUSED = [
    *(sent(seq, key="telemetry/.. 7", machine=None, value=None) for seq in (8, 9)),
    *(acknowledged(seq) for seq in (8, 9)),
    *({"did": "rejected", "at": 9, "key": "telemetry/.. 7"} for _ in (8, 9)),
]
GAP = [*GOOD[:-1], {"did": "missed", "at": 9, "machine": "m1", "count": 1}]
ALARMS = [
    sent(1),
    acknowledged(1),
    stored(1),
    alarm(1, "unacknowledged"),
    alarm(2, "unacknowledged"),
    commanded(3, "acknowledge"),
    alarm(4, "acknowledged"),
    alarm(5, ""),
    alarm(6, "unacknowledged"),
    alarm(7, "returned"),
    commanded(8, "acknowledge"),
    alarm(9, ""),
]


@pytest.mark.parametrize("lines", [GOOD, NUMBERED, UNTIMED, [*GOOD, *REFUSED], GAP, ALARMS])
def test_a_history_as_it_should_be_has_no_violation(lines: list[Line]) -> None:
    verdict = check(lines)
    assert verdict.violations == []


def test_a_counted_gap_is_counted_as_lost_all_the_same() -> None:
    verdict = check(GAP)
    assert (verdict.lost, verdict.counted_gaps, verdict.gaps_told) == (1, 1, 1)


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        pytest.param("nothing_sent", [], id="a sender that did nothing"),
        pytest.param("uncounted_loss", GOOD[:-1], id="an acknowledged reading that is nowhere"),
        pytest.param(
            "uncounted_loss",
            [*GOOD[:-2], {"did": "missed", "at": 9, "machine": "m1", "count": 1}],
            id="two lost and one counted",
        ),
        pytest.param("lost", [*NUMBERED[:5], mark(1)], id="a numbered reading that is nowhere"),
        pytest.param("twice", [*GOOD, stored(2)], id="a reading stored twice"),
        pytest.param("twice", [*UNTIMED, stored(2, ts_ms=5001)], id="an untimed message stored twice"),
        pytest.param("never_sent", [*GOOD, stored(7)], id="a reading nobody sent"),
        pytest.param("wrong_time", [*GOOD[:-1], stored(2, ts_ms=1)], id="a reading at another time"),
        pytest.param("mark_went_back", [*NUMBERED, mark(2)], id="a mark that went back"),
        pytest.param("mark_beyond_sent", [*NUMBERED, mark(4)], id="a mark beyond what was sent"),
        pytest.param("mark_beyond_sent", [*NUMBERED, mark(1, "b2")], id="a mark of a boot that never was"),
        pytest.param(
            "mark_beyond_stored",
            [*NUMBERED[:-1], {**NUMBERED[-1], "stored": 2}],
            id="a mark beyond what was stored at that moment",
        ),
        pytest.param("not_told", [*GOOD, *REFUSED[:-1]], id="a refusal that was not recorded"),
        pytest.param("told_too_often", [*GOOD, *REFUSED, REFUSED[-1]], id="a refusal of nothing"),
        pytest.param(
            "illegal_transition", [*ALARMS, alarm(10, "acknowledged")], id="acknowledged before it was raised"
        ),
        pytest.param(
            "illegal_transition",
            [*ALARMS, alarm(10, "unacknowledged"), alarm(11, "")],
            id="gone without a return or an acknowledgement",
        ),
        pytest.param(
            "no_actor",
            [*ALARMS, alarm(10, "unacknowledged"), alarm(11, "acknowledged")],
            id="acknowledged with no command since it was raised",
        ),
        pytest.param("no_actor", [*ALARMS, alarm(10, "shelved")], id="shelved with no command"),
        pytest.param("no_actor", [*ALARMS, commanded(10, "acknowledge", "")], id="a command of nobody"),
    ],
)
def test_each_violation_is_found(kind: str, lines: list[Line]) -> None:
    assert kind in check(lines).kinds()


def test_what_a_broker_that_crashed_remembers_of_a_mark_may_be_old() -> None:
    assert check([*NUMBERED, {**mark(2), "retained": True}]).violations == []


def test_a_refused_reading_is_not_lost() -> None:
    refusal = {"did": "rejected", "at": 9, "key": None, "machine": "m1", "value": 2}
    assert check([*GOOD[:-1], refusal]).violations == []


def test_what_was_sent_and_not_acknowledged_may_be_stored_or_not() -> None:
    assert check([*GOOD, stored(3)]).violations == []


def test_the_histories_of_all_parts_are_read(tmp_path: Path) -> None:
    for part, lines in (("sender", GOOD[:5]), ("database", GOOD[5:])):
        history = History(tmp_path, part)
        for line in lines:
            history.note(**{name: value for name, value in line.items() if name != "at"})
        history.close()
    verdict = check(read(tmp_path))
    assert verdict.violations == []
    assert (verdict.sent, verdict.acknowledged, verdict.stored) == (3, 2, 2)
