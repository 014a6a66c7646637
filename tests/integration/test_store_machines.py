"""Machines and their present, anomalies, refusals, accounts: what goes in comes out."""

from datetime import timedelta

import psycopg
import pytest
from fixtures.stored import NOW, ago, batch, row
from msgspec.structs import replace

from broker.messages import (
    Anomaly,
    Contributor,
    Deviation,
    LatestValue,
    Machine,
    MetricInfo,
    ModelRef,
    Place,
    Rejected,
)
from broker.telemetry import State
from gateway.store import (
    AuditEntry,
    BadValueError,
    Batch,
    BrokerLogin,
    RejectedRow,
    Session,
    Store,
)

PRESS = Machine(
    machine="press-7",
    name="Press 7",
    type="press",
    place=Place(site="north", line="2"),
    metrics={"flow": MetricInfo(unit="L/s", min=0.0, max=9.5)},
    rated_power_kw=45.5,
    parent="hall",
    first_seen=ago(60),
)
EVENT = Anomaly(
    anomaly_id="press-7-1",
    phase="opened",
    machine="press-7",
    machine_name="Press 7",
    metric="power_kw",
    value=0.1,
    expected=2.0,
    low=1.0,
    high=3.0,
    deviation=Deviation(absolute=-1.9, sigma=1e-9),
    score=1.5,
    threshold=1.0,
    severity="warning",
    anomaly_type="level_shift",
    operating_state="run",
    contributors=(Contributor(metric="power_kw", share=1.0),),
    started_at=ago(60),
    duration_s=0.0,
    model=ModelRef(name="m", version="1"),
    ts=ago(60),
    published_at=ago(59),
)


async def test_a_machine_is_known_by_its_readings_and_by_what_it_announced(store: Store) -> None:
    await store.write(batch(("press-7", "power_kw", 30, 1.0), ("press-7", "flow", 30, 1.0)))
    found = await store.machine("press-7")
    units = {"power_kw": MetricInfo(unit="kW"), "flow": MetricInfo(unit="")}
    assert found == Machine(machine="press-7", name="press-7", metrics=units, first_seen=NOW)
    await store.save_machine(PRESS)
    assert await store.machines() == [replace(PRESS, metrics=units | PRESS.metrics)]
    await store.save_machine(replace(PRESS, first_seen=NOW, place=None, name="P7"))
    changed = await store.machine("press-7")
    assert changed is not None
    assert (changed.first_seen, changed.place, changed.name) == (ago(60), None, "P7")
    assert await store.machine("press-8") is None


async def test_the_present_is_remembered_without_the_future(store: Store) -> None:
    rows = batch(("a", "x", 5, 1.0), ("a", "x", 4, 2.0), ("a", "y", 600_000, 3.0), ("a", "x", -60, 9.0))
    states = [State("a", "mode", ago(9), "run"), State("a", "mode", ago(-9), "idle")]
    await store.write(Batch(rows=rows.rows, states=states))
    await store.save_machine(PRESS)
    first, second = await store.latest(NOW)
    assert first.values == {
        "x": LatestValue(ts=ago(4), value=2.0),
        "y": LatestValue(ts=ago(600_000), value=3.0),
        "mode": LatestValue(ts=ago(9), value="run"),
    }
    assert (first.machine.machine, first.last_seen) == ("a", NOW)
    assert (second.machine, second.values, second.last_seen) == (PRESS, {}, ago(60))


async def test_the_present_is_gathered_from_rows_of_different_shapes(store: Store) -> None:
    rows = [row("a", n, x=float(n)) for n in range(300)]
    rows += [row("a", 400, y=1.0, z=1.0), row("a", 350, z=2.0), row("b", 9, z=3.0), row("b", 8, z=4.0, y=5.0)]
    await store.write(Batch(rows=rows))
    first, second = await store.latest(NOW)
    assert first.values == {
        "x": LatestValue(ts=NOW, value=0.0),
        "y": LatestValue(ts=ago(400), value=1.0),
        "z": LatestValue(ts=ago(350), value=2.0),
    }
    assert second.values == {"y": LatestValue(ts=ago(8), value=5.0), "z": LatestValue(ts=ago(8), value=4.0)}


async def test_an_event_twice_changes_nothing_and_the_latest_stands_for_its_episode(store: Store) -> None:
    updated = replace(EVENT, phase="updated", ts=ago(50), value=5.0)
    closed = replace(EVENT, phase="closed", ts=ago(50), value=6.0)
    assert [await store.add_anomaly(one) for one in (EVENT, closed, updated, EVENT, closed)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert await store.anomalies() == [closed]
    assert await store.anomaly_events("press-7-1") == [EVENT, updated, closed]


async def test_anomalies_are_found_by_machine_and_by_the_time_they_touch(store: Store) -> None:
    other = replace(EVENT, anomaly_id="b-1", machine="b", started_at=ago(30), ts=ago(20))
    await store.add_anomaly(EVENT)
    await store.add_anomaly(other)
    assert await store.anomalies() == [other, EVENT]
    assert await store.anomalies(limit=1) == [other]
    assert await store.anomalies(machine="press-7") == [EVENT]
    assert await store.anomalies(start=ago(25)) == [other]
    assert await store.anomalies(end=ago(30)) == [EVENT]
    assert await store.anomalies(start=ago(60), end=ago(20)) == [other, EVENT]


async def test_refusals_are_found_and_forgotten(store: Store) -> None:
    rows = [
        RejectedRow(
            f"m{number % 2}",
            Rejected(reason="clock", text="t", topic="x", head="h", size_bytes=number, ts=ago(number)),
        )
        for number in range(10)
    ]
    await store.write(Batch(rejected=rows))
    assert await store.rejected() == rows
    assert await store.rejected(source="m1", limit=2) == [rows[1], rows[3]]
    assert await store.rejected(start=ago(3), end=ago(1)) == [rows[2], rows[3]]
    assert await store.drop_rejected(before=ago(7)) == 2
    assert await store.drop_rejected(before=ago(7), most=3) == 5
    assert len(await store.rejected()) == 3


async def test_an_account_lives_from_its_making_to_its_removal(store: Store) -> None:
    assert await store.add_account("ann", "operator", "hash", NOW)
    assert not await store.add_account("ann", "engineer", "other", NOW)
    assert await store.set_password_hash("ann", "new")
    assert await store.set_role("ann", "engineer")
    assert await store.set_disabled("ann", disabled=True)
    assert not await store.set_disabled("bob", disabled=True)
    account = await store.account("ann")
    assert account is not None
    assert (account.role, account.password_hash, account.created_at, account.disabled) == (
        "engineer",
        "new",
        NOW,
        True,
    )
    assert "new" not in repr(account)
    assert await store.accounts() == [account]
    assert await store.remove_account("ann")
    assert not await store.remove_account("ann")
    assert await store.account("ann") is None


async def test_a_session_is_good_until_it_ends_or_its_account_closes(store: Store) -> None:
    await store.add_account("ann", "operator", "hash", NOW)
    until = NOW + timedelta(hours=1)
    for token in (b"one", b"two", b"\x00\xff"):
        await store.add_session(token, "ann", NOW, until)
    assert await store.session(b"\x00\xff", NOW) == Session(b"\x00\xff", "ann", "operator", NOW, until)
    assert await store.session(b"one", until) is None
    assert await store.session(b"three", NOW) is None
    await store.set_disabled("ann", disabled=True)
    assert await store.session(b"one", NOW) is None
    await store.set_disabled("ann", disabled=False)
    assert await store.remove_session(b"one")
    assert not await store.remove_session(b"one")
    assert await store.remove_sessions_of("ann") == 2
    await store.add_session(b"four", "ann", NOW, until)
    assert await store.drop_expired_sessions(NOW) == 0
    assert await store.drop_expired_sessions(until) == 1
    with pytest.raises(BadValueError):
        await store.add_session(b"five", "nobody", NOW, until)


async def test_a_login_to_the_broker_stays_listed_until_it_is_removed_there(store: Store) -> None:
    await store.add_account("ann", "operator", "hash", NOW)
    await store.add_session(b"one", "ann", NOW, NOW)
    first = BrokerLogin("ann-1", "ann", b"one", NOW)
    second = BrokerLogin("bob-1", "bob", None, ago(-60))
    await store.add_broker_login(first)
    await store.add_broker_login(second)
    await store.remove_account("ann")
    assert await store.broker_logins() == [first, second]
    assert await store.broker_logins(expired_by=NOW) == [first]
    assert await store.broker_logins(token_hash=b"one") == [first]
    assert await store.broker_logins(account="bob") == [second]
    assert await store.remove_broker_login("ann-1")
    assert await store.broker_logins() == [second]


async def test_the_audit_trail_is_only_added_to(store: Store, database_url: str) -> None:
    entries = [
        AuditEntry(ago(2), "ann", "acknowledge", "alarm/press-7/x", {"note": "it's fine"}),
        AuditEntry(ago(1), "bob", "shelve", "alarm/press-7/x", {}),
    ]
    for one in entries:
        await store.add_audit(one)
    assert await store.audit() == entries[::-1]
    assert await store.audit(end=ago(1)) == entries[:1]
    for words in ("UPDATE audit SET actor = 'eve'", "DELETE FROM audit", "TRUNCATE audit"):
        with psycopg.connect(database_url) as connection:  # noqa: SIM117
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only added to"):
                connection.execute(words.encode())
    assert await store.audit() == entries[::-1]
