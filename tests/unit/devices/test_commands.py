from datetime import UTC, datetime, timedelta

import pytest

from broker.commands import Desk, Scalar
from broker.messages import Command, Reply, decode, encode
from broker.topics import CommandTopic
from devices.commands import verbs
from devices.factory import Factory, FaultKind, plant

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def factory() -> Factory:
    return Factory(plant(7), 1, NOW)


def desk(factory: Factory) -> Desk:
    return Desk("simulator", verbs(factory, lambda now: now))


async def order(
    commands: Desk, verb: str, args: dict[str, Scalar], name: str = "1", user: str = "erika"
) -> Reply:
    # Through JSON, as it comes in.
    command = decode(Command, encode(Command(id=name, args=args)))
    return await commands.answer(CommandTopic(user, "simulator", verb), command, NOW)


async def test_a_fault_is_put_in_with_what_was_ordered(factory: Factory) -> None:
    args: dict[str, Scalar] = {"machine": "pump-1", "fault": "leak", "severity": 0.5, "duration_s": 90}
    reply = await order(desk(factory), "fault", args)
    assert reply.ok
    assert reply.result == {
        "machine": "pump-1",
        "fault": "leak",
        "severity": 0.5,
        "from": "2026-03-02T09:00:00.000+00:00",
        "until": "2026-03-02T09:01:30.000+00:00",
    }
    (fault,) = factory.faults(NOW)
    assert (fault.machine, fault.kind, fault.severity) == ("pump-1", FaultKind.LEAK, 0.5)
    assert fault.duration == timedelta(seconds=90)


async def test_without_severity_it_is_full_and_without_duration_it_stays(factory: Factory) -> None:
    await order(desk(factory), "fault", {"machine": "pump-1", "fault": "leak"})
    (fault,) = factory.faults(NOW + timedelta(days=300))
    assert (fault.severity, fault.duration) == (1.0, None)


async def test_the_same_id_twice_has_one_effect_and_the_same_answer(factory: Factory) -> None:
    commands = desk(factory)
    args: dict[str, Scalar] = {"machine": "pump-1", "fault": "leak", "severity": 0.5}
    first = await order(commands, "fault", args)
    factory.clear("pump-1")
    assert await order(commands, "fault", args) == first
    assert factory.faults(NOW) == ()
    assert (await order(commands, "fault", args, user="fritz")).ok
    assert len(factory.faults(NOW)) == 1, "another user's id is another command"


async def test_faults_lists_what_acts_and_clear_takes_it_out(factory: Factory) -> None:
    commands = desk(factory)
    for name, kind in (("a", "leak"), ("b", "fouling")):
        await order(commands, "fault", {"machine": "pump-1", "fault": kind}, name)
    listed = (await order(commands, "faults", {}, "c")).result
    assert listed["count"] == 2
    assert set(listed) == {"count", "pump-1/leak", "pump-1/fouling"}
    assert (await order(commands, "clear", {"machine": "pump-1", "fault": "leak"}, "d")).result[
        "cleared"
    ] == 1
    assert (await order(commands, "clear", {"machine": "pump-1"}, "e")).result["cleared"] == 1
    assert (await order(commands, "faults", {}, "f")).result == {"count": 0}


@pytest.mark.parametrize(
    ("verb", "args", "code", "says"),
    [
        ("explode", {}, "unknown_verb", "knows fault, clear, faults, not 'explode'"),
        ("fault", {}, "bad_argument", "machine is missing or no text: give args.machine"),
        ("fault", {"machine": 7, "fault": "leak"}, "bad_argument", "machine is missing or no text"),
        ("fault", {"machine": "pump-1"}, "bad_argument", "fault is missing or no text"),
        ("fault", {"machine": "pump-1", "fault": "rust"}, "bad_argument", "there are leak, bearing_wear"),
        ("fault", {"machine": "oven-1", "fault": "bearing_wear"}, "bad_argument", "it can have fouling"),
        (
            "fault",
            {"machine": "pump-77", "fault": "leak"},
            "bad_argument",
            "there are compressor-1, boiler-1",
        ),
        ("fault", {"machine": "pump-1", "fault": "leak", "severity": 2}, "bad_argument", "at most 1"),
        ("fault", {"machine": "pump-1", "fault": "leak", "severity": "high"}, "bad_argument", "a number"),
        ("fault", {"machine": "pump-1", "fault": "leak", "severity": True}, "bad_argument", "a number"),
        ("fault", {"machine": "pump-1", "fault": "leak", "duration_s": -1}, "bad_argument", "above 0"),
        ("fault", {"machine": "pump-1", "fault": "leak", "duration_s": 1e300}, "bad_argument", "too long"),
        ("fault", {"machine": "pump-1", "fault": "leak", "duration_s": 1e10}, "bad_argument", "too long"),
        (
            "fault",
            {"machine": "pump-1", "fault": "leak", "duration": 5},
            "bad_argument",
            "duration_s, metric",
        ),
        ("clear", {"machine": "pump-1"}, "no_such_fault", "pump-1 has no fault"),
        ("clear", {"machine": "pump-77"}, "bad_argument", "there is no machine"),
        ("faults", {"machine": "pump-1"}, "bad_argument", "there are: none"),
    ],
)
async def test_a_bad_command_is_answered_with_what_is_possible(
    factory: Factory, verb: str, args: dict[str, Scalar], code: str, says: str
) -> None:
    reply = await order(desk(factory), verb, args)
    assert not reply.ok
    assert reply.error is not None
    assert reply.error.code == code
    assert says in reply.error.text
    assert factory.faults(NOW) == ()
