"""What the broker enforces is what the table says, and the table says what the rules of the bus demand."""

import re
from collections.abc import Iterable

import pytest

from broker.access import personal_rules, rules
from broker.channels import CHANNELS, COMMAND, REPLY, Channel
from broker.roles import LISTENERS, PEOPLE, SERVICES, Role
from broker.topics import Topic, matches

ROOT = "acme/chicago/enms"
ALL_BUT_ADMIN = [role for role in Role if role is not Role.ADMIN]


def may(kind: str, role: Role, user: str, topic: str, machines: Iterable[str] = ()) -> bool:
    """As the broker decides; an edge gateway with machines has only its personal rights."""
    found = personal_rules(role, user, ROOT, machines)
    if not machines:
        found += rules(role, ROOT)
    return any(rule.kind == kind and matches(rule.topic, f"{ROOT}/{topic}") for rule in found)


def reads(role: Role, user: str, topic: str) -> bool:
    return may("publishClientReceive", role, user, topic)


def writes(role: Role, user: str, topic: str, machines: Iterable[str] = ()) -> bool:
    return may("publishClientSend", role, user, topic, machines)


def sample(row: Channel[Topic, object]) -> str:
    return re.sub("<.*?>", "x1", row.topic.pattern).replace("#", "latest/x1")


@pytest.mark.parametrize("row", CHANNELS, ids=lambda row: row.topic.pattern)
def test_two_roles_write_one_state_only_where_each_writes_its_own(row: Channel[Topic, object]) -> None:
    if not row.retain:
        return
    free = {grant.role for grant in row.writers if not grant.personal}
    own = {grant.role for grant in row.writers if grant.personal}
    assert (len(free) == 1 and not own) or (not free and own)


@pytest.mark.parametrize("row", CHANNELS, ids=lambda row: row.topic.pattern)
def test_every_channel_has_a_writer_and_a_reader(row: Channel[Topic, object]) -> None:
    assert row.writers
    assert row.readers
    assert not row.retain or row.expiry_s is None


def test_commands_and_replies_are_never_retained_and_expire() -> None:
    for row in (COMMAND, REPLY):
        assert not row.retain
        assert row.expiry_s == 30


@pytest.mark.parametrize("role", [*PEOPLE, Role.FLOWS])
@pytest.mark.parametrize("row", CHANNELS, ids=lambda row: row.topic.pattern)
def test_people_read_all_but_what_is_secret(role: Role, row: Channel[Topic, object]) -> None:
    secret = row.name in {"rejected", "system/security", "command", "committed", "reply"}
    engineers = row.name in {"rejected", "system/security"} and role is Role.ENGINEER
    assert reads(role, "anna", sample(row)) == (not secret or engineers)


@pytest.mark.parametrize("role", [*PEOPLE, Role.FLOWS, Role.VOICE, Role.DEVICE])
def test_a_reply_reaches_its_user_alone(role: Role) -> None:
    assert reads(role, "anna", "reply/anna/1")
    assert not reads(role, "anna", "reply/bob/1")


def test_a_device_reads_its_own_mark_and_replies_and_the_indicators_and_nothing_else() -> None:
    read = {row.name for row in CHANNELS if reads(Role.DEVICE, "x1", sample(row))}
    assert read == {"committed", "reply", "kpi"}
    assert not reads(Role.DEVICE, "press-7", "committed/press-8")


def test_a_voice_user_reads_what_is_said_alarms_and_last_values() -> None:
    read = {row.name for row in CHANNELS if reads(Role.VOICE, "x1", sample(row).replace("say/x1", "say/en"))}
    assert read == {"say", "alarm", "latest", "reply"}


def test_a_device_writes_of_itself_alone() -> None:
    wrote = {row.name for row in CHANNELS if writes(Role.DEVICE, "x1", sample(row))}
    assert wrote == {"telemetry", "announce", "status"}
    assert not any(writes(Role.DEVICE, "press-7", sample(row)) for row in CHANNELS)


def test_an_edge_gateway_speaks_for_all_machines_or_for_those_named() -> None:
    assert writes(Role.EDGE, "hall-2", "telemetry/press-7")
    assert writes(Role.EDGE, "hall-2", "telemetry/press-7", ["press-7"])
    assert writes(Role.EDGE, "hall-2", "announce/press-7", ["press-7"])
    assert writes(Role.EDGE, "hall-2", "status/hall-2", ["press-7"])
    assert not writes(Role.EDGE, "hall-2", "telemetry/press-8", ["press-7"])
    assert not writes(Role.EDGE, "hall-2", "status/press-8", ["press-7"])


def test_a_viewer_writes_nothing() -> None:
    assert not any(writes(Role.VIEWER, "x1", sample(row)) for row in CHANNELS)


@pytest.mark.parametrize("role", ALL_BUT_ADMIN)
def test_nobody_commands_under_anothers_name(role: Role) -> None:
    for service in ("alarms", "gateway", "detector", "simulator"):
        assert not writes(role, "anna", f"command/bob/{service}/acknowledge")


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, set()),
        (Role.DEVICE, set()),
        (Role.OPERATOR, {"alarms", "gateway"}),
        (Role.ENGINEER, {"alarms", "gateway", "detector", "simulator"}),
        (Role.FLOWS, {"alarms", "gateway", "detector"}),
        (Role.VOICE, {"alarms"}),
    ],
)
def test_who_commands_what(role: Role, allowed: set[str]) -> None:
    services = ("alarms", "gateway", "detector", "simulator")
    assert {one for one in services if writes(role, "anna", f"command/anna/{one}/acknowledge")} == allowed


def test_a_voice_user_acknowledges_and_does_no_more() -> None:
    assert not writes(Role.VOICE, "anna", "command/anna/alarms/shelve")


def test_an_operator_says_that_a_machine_is_worked_on_and_orders_no_other_thing_of_the_detector() -> None:
    assert writes(Role.OPERATOR, "anna", "command/anna/detector/maintain")
    for verb in ("detect", "model"):
        assert not writes(Role.OPERATOR, "anna", f"command/anna/detector/{verb}")


@pytest.mark.parametrize("role", ALL_BUT_ADMIN)
def test_only_the_administrator_touches_what_stands_outside_the_root(role: Role) -> None:
    for rule in [*rules(role, ROOT), *personal_rules(role, "anna", ROOT)]:
        assert rule.topic.startswith(f"{ROOT}/")


def test_the_administrator_touches_nothing_under_the_root() -> None:
    assert not personal_rules(Role.ADMIN, "broker-admin", ROOT)
    assert all(rule.topic.startswith("$") for rule in rules(Role.ADMIN, ROOT))


@pytest.mark.parametrize("role", Role)
def test_a_role_that_reads_a_topic_may_subscribe_to_it(role: Role) -> None:
    found = [*rules(role, ROOT), *personal_rules(role, "anna", ROOT)]
    subscribed = {rule.topic for rule in found if rule.kind == "subscribePattern"}
    assert {rule.topic for rule in found if rule.kind == "publishClientReceive"} <= subscribed


def test_only_listeners_may_subscribe_to_the_whole_root() -> None:
    whole = {role for role in Role if any(rule.topic == f"{ROOT}/#" for rule in rules(role, ROOT))}
    assert whole == set(LISTENERS)


def test_one_rule_is_not_common_and_personal_at_once() -> None:
    for role in Role:
        own = personal_rules(role, "anna", ROOT)
        assert not set(own) & set(rules(role, ROOT))
        assert all("anna" in rule.topic for rule in own)


def test_our_own_users_have_names_that_may_stand_in_a_topic_and_roles_no_person_has() -> None:
    assert not set(SERVICES.values()) & set(PEOPLE)
