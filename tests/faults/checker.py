"""The offline checker: from the histories alone, what was lost, doubled, made up or told wrongly.

What it reads, by `did` (the sender's value is a serial number, so (machine, metric, value) names a reading):

    sent          client, boot, seq, machine, metric, value, ts_ms (null: untimed), numbered, key (see below)
    acknowledged  client, boot, seq: the broker's PUBACK
    committed     client, boot, seq, retained: a mark heard on the bus; a retained one is what the broker
                  remembers, which may be older than what was heard before a crash of it
    looked        client, boot, seq, stored: how many readings up to seq were stored after that mark was heard
    stored        machine, metric, value, ts_ms: what is in the database at the end
    rejected      machine, value or key: a refusal that was recorded
    missed        machine, count: the gaps that were counted, the last that was heard
    alarm         machine, code, state ("" is normal)
    commanded     user, verb, machine, code: a command that was accepted

A message that must be refused is sent with a `key` and no value; a refusal of it has the same key.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

Line = dict[str, Any]
Name = tuple[str, str, float]
Source = tuple[str, str]

NORMAL: Final = ""
_OPEN: Final = frozenset({"unacknowledged", "acknowledged", "returned"})
_ASIDE: Final = frozenset({"shelved", "suppressed", "out_of_service"})
LEGAL: Final = {
    NORMAL: _ASIDE | {"unacknowledged"},
    "unacknowledged": _ASIDE | {"acknowledged", "returned"},
    "acknowledged": _ASIDE | {NORMAL, "unacknowledged"},
    "returned": _ASIDE | {NORMAL, "unacknowledged"},
    **{state: _OPEN | (_ASIDE - {state}) | {NORMAL} for state in _ASIDE},
}
"""Where an alarm may go from each state; a state told again is no transition."""


@dataclass(frozen=True, slots=True)
class Violation:
    kind: str
    text: str


@dataclass(slots=True)
class Verdict:
    """What the histories show. `lost` counts readings, those of counted gaps among them.

    `gaps_told` is all that was told to be missing, also where nothing is.
    """

    sent: int = 0
    acknowledged: int = 0
    stored: int = 0
    rejected: int = 0
    lost: int = 0
    counted_gaps: int = 0
    gaps_told: int = 0
    twice: int = 0
    marks: int = 0
    violations: list[Violation] = field(default_factory=list)

    def kinds(self) -> set[str]:
        return {one.kind for one in self.violations}

    def __str__(self) -> str:
        figures = (
            f"sent {self.sent}, acknowledged {self.acknowledged}, stored {self.stored}, "
            f"rejected {self.rejected}, "
            f"lost {self.lost} (in counted gaps {self.counted_gaps} of {self.gaps_told}), "
            f"twice {self.twice}, marks {self.marks}"
        )
        shown = [f"{one.kind}: {one.text}" for one in self.violations[:20]]
        return "\n  ".join([figures, *shown])


def check(lines: Iterable[Line]) -> Verdict:
    """Judge the histories; no violation means that every promise was kept."""
    by: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by[line["did"]].append(line)
    verdict = Verdict(
        sent=len({_message(line) for line in by["sent"]}),
        acknowledged=len({_message(line) for line in by["acknowledged"]}),
        stored=len(by["stored"]),
        rejected=len(by["rejected"]),
        marks=len(by["committed"]),
    )
    if not by["sent"]:
        verdict.violations.append(Violation("nothing_sent", "no sender wrote that it sent anything"))
    _check_readings(by, verdict)
    verdict.violations += _missing_refusals(by)
    verdict.violations += _wrong_marks(by)
    verdict.violations += _wrong_alarms(by)
    return verdict


def _message(line: Line) -> tuple[str, str, int]:
    return line["client"], line["boot"], line["seq"]


def _name(line: Line) -> Name:
    return line["machine"], line["metric"], float(line["value"])


def _check_readings(by: dict[str, list[Line]], verdict: Verdict) -> None:
    acknowledged = {_message(line) for line in by["acknowledged"]}
    good = [line for line in by["sent"] if line.get("key") is None]
    sent = {_name(line): line for line in good}
    due = {_name(line) for line in good if _message(line) in acknowledged or line["numbered"]}
    stored = Counter(_name(line) for line in by["stored"])
    refused = {(line["machine"], float(line["value"])) for line in by["rejected"] if line.get("key") is None}
    found = verdict.violations
    for name, times in stored.items():
        if times > 1:
            verdict.twice += times - 1
            found.append(Violation("twice", f"{name} is stored {times} times"))
        if name not in sent:
            found.append(Violation("never_sent", f"{name} is stored and nobody sent it"))
    for line in by["stored"]:
        ts_ms = sent.get(_name(line), {}).get("ts_ms")
        if ts_ms is not None and ts_ms != line["ts_ms"]:
            found.append(Violation("wrong_time", f"{_name(line)} of {ts_ms} is stored at {line['ts_ms']}"))
    lost = [name for name in sorted(due) if name not in stored and (name[0], name[2]) not in refused]
    verdict.lost = len(lost)
    found += [
        Violation("lost", f"{name} of a source that numbers its messages is nowhere")
        for name in lost
        if sent[name]["numbered"]
    ]
    missed = {line["machine"]: line["count"] for line in by["missed"]}
    verdict.gaps_told = sum(missed.values())
    plain: dict[str, list[Name]] = defaultdict(list)
    for name in lost:
        if not sent[name]["numbered"]:
            plain[name[0]].append(name)
    for machine, names in plain.items():
        told = missed.get(machine, 0)
        verdict.counted_gaps += min(len(names), told)
        if len(names) > told:
            text = f"{len(names)} acknowledged readings are nowhere, {told} are told, such as {names[:5]}"
            found.append(Violation("uncounted_loss", text))


def _missing_refusals(by: dict[str, list[Line]]) -> Iterator[Violation]:
    acknowledged = {_message(line) for line in by["acknowledged"]}
    wanted = Counter(line["key"] for line in by["sent"] if line.get("key") and _message(line) in acknowledged)
    told = Counter(line["key"] for line in by["rejected"] if line.get("key"))
    for key, count in (wanted - told).items():
        yield Violation("not_told", f"{count} refusals of {key} are not recorded")
    possible = Counter(line["key"] for line in by["sent"] if line.get("key"))
    for key, count in (told - possible).items():
        yield Violation("told_too_often", f"{count} refusals of {key} are of no message")


def _wrong_marks(by: dict[str, list[Line]]) -> Iterator[Violation]:
    highest: dict[Source, int] = {}
    sent: dict[Source, set[int]] = defaultdict(set)
    for line in by["sent"]:
        sent[line["client"], line["boot"]].add(line["seq"])
    for line in by["committed"]:
        source, seq = (line["client"], line["boot"]), line["seq"]
        if seq < highest.get(source, seq) and not line.get("retained"):
            yield Violation("mark_went_back", f"{source} from {highest[source]} to {seq}")
        if seq > max(sent[source], default=0):
            yield Violation("mark_beyond_sent", f"{source} says {seq}")
        highest[source] = max(seq, highest.get(source, seq))
    for line in by["looked"]:
        source, seq = (line["client"], line["boot"]), line["seq"]
        wanted = sum(1 for one in sent[source] if one <= seq)
        if line["stored"] < wanted:
            text = f"{source} was told {seq} while {line['stored']} of {wanted} were stored"
            yield Violation("mark_beyond_stored", text)


def _wrong_alarms(by: dict[str, list[Line]]) -> Iterator[Violation]:
    states: dict[tuple[str, str], str] = defaultdict(str)
    commands: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in sorted(by["alarm"] + by["commanded"], key=lambda line: line["at"]):
        alarm = line["machine"], line["code"]
        if line["did"] == "commanded":
            if line["user"]:
                commands[alarm].append(line["verb"])
            else:
                yield Violation("no_actor", f"{line['verb']} of {alarm} by nobody")
            continue
        before, now = states[alarm], line["state"]
        states[alarm] = now
        if now == before:
            continue
        if now not in LEGAL.get(before, frozenset()):
            yield Violation(
                "illegal_transition", f"{alarm} went from {before or 'normal'} to {now or 'normal'}"
            )
        verb = _needed(before, now)
        if verb and verb not in commands[alarm]:
            yield Violation("no_actor", f"{alarm} went from {before} to {now or 'normal'} without {verb}")
        elif verb:
            commands[alarm].remove(verb)


def _needed(before: str, now: str) -> str:
    """Return the command without which an alarm does not go this way, empty where none is needed."""
    if now == "shelved":
        return "shelve"
    if (before, now) in {("unacknowledged", "acknowledged"), ("returned", NORMAL)}:
        return "acknowledge"
    return ""
