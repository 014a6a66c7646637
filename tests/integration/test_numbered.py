"""Numbered messages from an outbox through a real broker into a real database, while things are killed."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from fixtures import numbered_source
from fixtures.broker import PrivateBroker

from broker.channels import ANNOUNCE, ANOMALY, COMMITTED, METRIC, SYSTEM_ALERT, TELEMETRY
from broker.intake import Intake
from broker.messages import Anomaly, Deviation, ModelRef, SystemAlert, encode
from broker.outbox import Outbox, WhenFull
from broker.outbox_file import Limits
from broker.posting import Post
from broker.presence import Numbering
from broker.roles import Role
from broker.sender import OutboxSender, Patience
from broker.topics import AnomalyTopic, TelemetryTopic
from gateway.episodes import Episodes
from gateway.ingest import Ingest
from gateway.registry import Registry
from gateway.rejects import Rejects
from gateway.store import Store
from gateway.watermarks import Watermarks

PATIENCE_S = 40
NAME = "press-7"
AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
EVENT = Anomaly(
    anomaly_id="a1",
    phase="opened",
    machine="m",
    machine_name="m",
    metric="power_kw",
    value=9.0,
    expected=5.0,
    low=4.0,
    high=6.0,
    deviation=Deviation(absolute=4.0, sigma=8.0, pct=80.0),
    score=2.0,
    threshold=1.0,
    severity="warning",
    anomaly_type="spike",
    operating_state="on",
    contributors=(),
    started_at=AT,
    duration_s=0.0,
    model=ModelRef(name="residual", version="1"),
    ts=AT,
    published_at=AT,
)


class Receiver:
    """The part of the gateway that stores telemetry and tells marks; the service `gateway` is its bus."""

    def __init__(self, broker: PrivateBroker, store: Store) -> None:
        self.store = store
        self.bus = broker.bus("gateway", service="gateway", version="1", persistent=True)
        channels = (TELEMETRY, METRIC, ANNOUNCE)
        password = broker.passwords["gateway-ingest"]
        self.intake = Intake(broker.address, "gateway-ingest", password, *channels)
        self.registry = Registry()
        self.ingest = Ingest(self.intake, store, self.registry, Rejects())
        self.episodes = Episodes(self.bus, store)
        self.watermarks = Watermarks(self.bus, store, lambda name: self.registry.machine(name) is not None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Receiver"]:
        async with self.bus, self.intake:
            async with asyncio.timeout(PATIENCE_S):
                await self.bus.wait_connected()
                await self.intake.wait_connected()
            works = (self.ingest.run, self.episodes.run, self.watermarks.run)
            tasks = [asyncio.create_task(work()) for work in works]
            try:
                yield self
                for task in tasks:
                    assert not task.done(), task
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task


class Truth:
    """What is in the database, asked of it directly."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def stored(self) -> list[int]:
        """The numbers in the messages that are stored, in order, as often as they are."""
        rows = self._connection.execute("SELECT values[1] FROM sample ORDER BY 1").fetchall()
        return [int(number) for (number,) in rows]

    def up_to(self, number: int) -> int:
        """How many different numbers from 1 to this are stored."""
        asked = "SELECT count(DISTINCT values[1]) FROM sample WHERE values[1] BETWEEN 1 AND %s"
        found = self._connection.execute(asked, (number,)).fetchone()
        assert found is not None
        return int(found[0])

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def truth(store: Store, database_url: str) -> Iterator[Truth]:
    assert store
    found = Truth(database_url)
    yield found
    found.close()


class Source:
    """A numbered source in a process of its own; `printed` are the numbers that were in its outbox."""

    def __init__(self, broker: PrivateBroker, folder: Path) -> None:
        self._words = [str(broker.port), NAME, broker.passwords[NAME], str(folder / "source.db")]
        self._words.append(datetime.now(UTC).isoformat())
        self._out = folder / "source.out"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def printed(self) -> int:
        assert self._process is not None
        assert self._process.poll() is None, self._out.with_suffix(".err").read_text()
        whole = self._out.read_text().split("\n")[:-1]
        return max((int(line) for line in whole if line.isdigit()), default=0)

    def start(self) -> None:
        words = [sys.executable, "-m", numbered_source.__name__, *self._words]
        tree = Path(__file__).parents[2]
        paths = {"PYTHONPATH": f"{tree}:{tree / 'tests'}"}
        with self._out.open("ab") as out, self._out.with_suffix(".err").open("ab") as err:
            self._process = subprocess.Popen(words, stdout=out, stderr=err, cwd=tree, env=paths)

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self._process is not None
        assert self._process.poll() is None, self._out.with_suffix(".err").read_text()
        self._process.send_signal(number)
        self._process.wait(10)


async def until(true: Callable[[], bool], what: str = "") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


@pytest.fixture
async def source(broker: PrivateBroker, folder: Path) -> AsyncIterator[Source]:
    await broker.user(NAME, Role.DEVICE)
    made = Source(broker, folder)
    yield made
    if made._process is not None and made._process.poll() is None:
        made.kill()


async def test_a_source_killed_in_the_middle_loses_nothing_it_had_kept(
    broker: PrivateBroker, store: Store, truth: Truth, source: Source
) -> None:
    async with Receiver(broker, store).running() as receiver:
        source.start()
        for at in (400, 900, 1300):
            await until(lambda at=at: source.printed >= at)  # type: ignore[misc]
            source.kill()
            source.start()
        kept = source.printed
        await until(lambda: truth.up_to(kept) == kept, f"{kept} messages were kept")
        source.kill()
        (mark,) = await store.sources([NAME])  # one boot, however often it was killed
        stored = truth.stored()
        assert stored == list(range(1, len(stored) + 1)), "nothing lost, nothing twice"
        assert mark.seq <= len(stored)
        assert receiver.watermarks.missing.get(NAME, 0) == 0


async def test_a_broker_killed_while_500_messages_a_second_flow_loses_nothing(
    broker: PrivateBroker, store: Store, truth: Truth, source: Source
) -> None:
    async with Receiver(broker, store).running() as receiver:
        source.start()
        for at in (500, 1500):
            await until(lambda at=at: source.printed >= at)  # type: ignore[misc]
            broker.kill()
            # All the broker may have known by heart is gone.
            (broker.mosquitto.folder / "mosquitto.db").unlink(missing_ok=True)
            broker.start()
        await until(lambda: source.printed >= 2500)
        kept = source.printed
        await until(lambda: truth.up_to(kept) == kept, f"{kept} messages were kept")
        await until(lambda: receiver.watermarks._current[NAME].seq >= kept)
    stored = truth.stored()
    assert stored == list(range(1, len(stored) + 1)), "nothing lost, nothing twice"


async def test_the_mark_told_is_never_ahead_of_the_database_and_frees_the_outbox(
    broker: PrivateBroker, store: Store, truth: Truth, folder: Path
) -> None:
    await broker.user(NAME, Role.DEVICE)
    bus = broker.bus(NAME)
    marks: list[int] = []
    begin = datetime.now(UTC)
    async with Outbox(folder / "o.db", WhenFull.WAIT, Limits(200, 1 << 20)) as outbox:
        sender = OutboxSender(bus, outbox)
        heard = bus.subscribe(COMMITTED, client=NAME)

        async def check() -> None:
            async for delivery in heard:
                _, mark = delivery.read(COMMITTED)
                assert mark.boot == outbox.boot
                assert truth.up_to(mark.seq) == mark.seq, "the mark is ahead of the truth"
                marks.append(mark.seq)

        async with Receiver(broker, store).running(), bus:
            tasks = [asyncio.create_task(sender.run()), asyncio.create_task(check())]
            async with asyncio.timeout(PATIENCE_S):
                for number in range(1, 1001, 20):
                    lot = range(number, number + 20)
                    await outbox.put_all(
                        (TELEMETRY, TelemetryTopic(NAME), numbered_source.body(begin, one)) for one in lot
                    )
                await outbox.wait_committed(1000)
            assert outbox.held.rows == 0
            await until(lambda: bool(marks) and marks[-1] == 1000)
            for task in tasks:
                assert not task.done(), task
                task.cancel()
    assert marks == sorted(marks)


async def test_what_the_receiver_lost_is_sent_again_when_the_mark_does_not_move(
    broker: PrivateBroker, store: Store, truth: Truth, folder: Path
) -> None:
    await broker.user(NAME, Role.DEVICE)
    bus = broker.bus(NAME)
    begin = datetime.now(UTC)
    async with Outbox(folder / "o.db", WhenFull.WAIT) as outbox:
        sender = OutboxSender(bus, outbox, Patience(0.5))
        async with bus:
            sending = asyncio.create_task(sender.run())
            # Nobody is there to hear it: the broker acknowledges and forgets.
            last = await outbox.put_all(
                (TELEMETRY, TelemetryTopic(NAME), numbered_source.body(begin, one)) for one in range(1, 51)
            )
            await until(lambda: sender.sent == last)
            async with Receiver(broker, store).running(), asyncio.timeout(PATIENCE_S):
                await outbox.wait_committed(last)
            sending.cancel()
    assert truth.stored() == list(range(1, 51))


async def test_dropped_messages_are_a_counted_gap_and_the_mark_goes_on(
    broker: PrivateBroker, store: Store, folder: Path
) -> None:
    await broker.user(NAME, Role.DEVICE)
    listener = broker.bus("detector")
    alerts = listener.subscribe(SYSTEM_ALERT)
    begin = datetime.now(UTC)
    messages = [(TELEMETRY, TelemetryTopic(NAME), numbered_source.body(begin, one)) for one in range(1, 101)]
    path = folder / "o.db"
    async with Receiver(broker, store).running() as receiver, listener:
        async with Outbox(path, WhenFull.DROP_OLDEST, Limits(60, 1 << 20)) as outbox:
            async with sending(broker, outbox):
                await outbox.put_all(messages[:1])
                await outbox.wait_committed(1)
            await outbox.put_all(messages[1:])  # nobody sends it
            assert outbox.dropped == 39
            async with sending(broker, outbox):
                await outbox.wait_committed(100)
        (delivery,) = await asyncio.wait_for(alerts.batch(1, 1), PATIENCE_S)
        assert receiver.watermarks.missing == {NAME: 39}
    alert = delivery.read(SYSTEM_ALERT)[1]
    assert isinstance(alert, SystemAlert)
    assert alert.alert_type == "gap"
    (mark,) = await store.sources([NAME])
    assert alert.details == {"client": NAME, "boot": mark.boot, "from": "2", "to": "40", "count": "39"}
    assert (mark.seq, mark.above) == (100, ())


async def test_a_hole_is_told_within_ten_seconds_and_taken_off_when_it_fills(
    broker: PrivateBroker, store: Store
) -> None:
    await broker.user(NAME, Role.DEVICE)
    bus, listener = broker.bus(NAME), broker.bus("detector")
    alerts = listener.subscribe(SYSTEM_ALERT)
    begin = datetime.now(UTC)

    def post(number: int) -> Post:
        user = (("boot", "b"), ("seq", str(number)))
        return Post(f"telemetry/{NAME}", numbered_source.body(begin, number), user)

    async with Receiver(broker, store).running() as receiver, bus, listener, asyncio.timeout(PATIENCE_S):
        await bus.wait_connected()
        await listener.wait_connected()
        await bus.post(map(post, (1, 2, 5, 6)))
        sent = time.monotonic()
        (gap,) = await alerts.batch(1, 1)
        assert time.monotonic() - sent < 10
        assert receiver.watermarks.missing == {NAME: 2}
        await bus.post(map(post, (3, 4)))
        while receiver.watermarks.missing != {NAME: 0}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        (mark,) = await store.sources([NAME])
    alert = gap.read(SYSTEM_ALERT)[1]
    assert isinstance(alert, SystemAlert)
    assert alert.alert_type == "gap"
    assert alert.details == {"client": NAME, "boot": "b", "from": "3", "to": "4", "count": "2"}
    assert (mark.seq, mark.above) == (6, ())


async def test_nobody_gets_a_mark_under_another_clients_name(broker: PrivateBroker, store: Store) -> None:
    """The simulator says a boot; what claims another one, or comes from nobody known, changes nothing."""
    await broker.user(NAME, Role.DEVICE)
    simulator, thief = broker.bus("simulator"), broker.bus(NAME)
    begin = datetime.now(UTC)
    marks = broker.bus("detector")
    async with Receiver(broker, store).running(), simulator, thief, marks, asyncio.timeout(PATIENCE_S):
        await simulator.wait_connected()
        await thief.wait_connected()
        simulator.number(Numbering("true", 1))
        claims = (("simulator", "false"), ("stranger", "b"), (NAME, "mine"))
        posts = [
            Post(
                f"telemetry/{NAME}",
                numbered_source.body(begin, number),
                (("client", client), ("boot", boot), ("seq", "1")),
            )
            for number, (client, boot) in enumerate(claims)
        ]
        await thief.post(posts)
        await simulator.post(
            [
                Post(
                    "telemetry/pump-1",
                    numbered_source.body(begin, 9),
                    (("client", "simulator"), ("boot", "true"), ("seq", "1")),
                )
            ]
        )
        found: dict[str, str] = {}
        while set(found) != {NAME, "simulator"}:
            found = {mark.client: mark.boot for mark in await store.sources()}
            await asyncio.sleep(0.02)
    assert found == {NAME: "mine", "simulator": "true"}


async def test_an_event_is_numbered_and_freed_when_it_is_stored(
    broker: PrivateBroker, store: Store, folder: Path
) -> None:
    bus = broker.bus("detector", service="detector", version="1")
    async with Outbox(folder / "o.db", WhenFull.DROP_OLDEST) as outbox:
        sender = OutboxSender(bus, outbox)
        async with Receiver(broker, store).running(), bus, asyncio.timeout(PATIENCE_S):
            task = asyncio.create_task(sender.run())
            await outbox.put(ANOMALY, AnomalyTopic("m"), b"{}")  # none, and still it must not come for ever
            await outbox.put(ANOMALY, AnomalyTopic("m"), encode(EVENT))
            await outbox.wait_committed(2)
            task.cancel()
    assert await store.anomaly_events(EVENT.anomaly_id) == [EVENT]


@asynccontextmanager
async def sending(broker: PrivateBroker, outbox: Outbox) -> AsyncIterator[None]:
    """A device that sends its outbox; patience is short."""
    bus = broker.bus(NAME)
    sender = OutboxSender(bus, outbox, Patience(0.5))
    async with bus, asyncio.timeout(PATIENCE_S):
        task = asyncio.create_task(sender.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
