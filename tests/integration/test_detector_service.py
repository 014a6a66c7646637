"""The detector on a real broker, with its history served over real HTTP."""

import asyncio
import json
import random
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fixtures.broker import PrivateBroker

from broker.bus import Bus
from broker.channels import ANOMALY, EXPECTED, MACHINE, MODEL, SERVICE, SYSTEM_SCORING, TELEMETRY, TRAINING
from broker.messages import Anomaly, Machine, MetricInfo, ModelCard, Service, Training, encode
from broker.roles import Role
from broker.topics import MachineTopic, TelemetryTopic
from detector.service import DetectorConfig, run

METRICS = ("current_a", "power_kw", "temperature_c")
TOKEN = "let-me-read"
Row = dict[str, float]


def row(number: int, *, fault: bool = False) -> Row:
    """A machine whose load swings; in the fault its power leaves what its current tells."""
    noise = random.Random(number)  # noqa: S311  noise, not a secret
    load = 0.5 + 0.3 * (number // 37 % 2) + 0.02 * noise.gauss(0, 1)
    power = 40.0 * load + 0.2 * noise.gauss(0, 1) + (9.0 if fault else 0.0)
    return {
        "current_a": 70.0 * load + 0.3 * noise.gauss(0, 1),
        "power_kw": power,
        "temperature_c": 45.0 + 10.0 * load + 0.2 * noise.gauss(0, 1),
    }


class PastServer:
    """Serves the gateway's part of the API for one machine, from rows that can grow."""

    def __init__(self, rows: list[tuple[float, Row]]) -> None:
        self.rows = rows
        self.refused = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = outer.answer(self.path.partition("?")[0], self.headers.get("Authorization"))
                self.send_response(401 if body is None else 200 if body else 404)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Keep the test's output quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def answer(self, path: str, authorization: str | None) -> bytes | None:
        if authorization != f"Bearer {TOKEN}":
            self.refused += 1
            return None
        if path.endswith("/machines"):
            return encode({"machines": [MACHINE_ROW]})
        if path.endswith("/anomalies"):
            return b'{"anomalies": []}'
        if path.endswith("/machines/pump-1"):
            return encode({"machine": MACHINE_ROW})
        if not path.endswith("/machines/pump-1/history"):
            return b""
        ts = [round(1000 * ts_s) for ts_s, _ in self.rows]
        series = [
            {"metric": m, "unit": "", "bucket_s": 0, "ts": ts, "mean": [r[m] for _, r in self.rows]}
            for m in METRICS
        ]
        return json.dumps({"machine": "pump-1", "series": series}).encode()


MACHINE_ROW = Machine(
    machine="pump-1",
    name="Pump 1",
    first_seen=datetime(2026, 1, 1, tzinfo=UTC),
    metrics={m: MetricInfo(unit="") for m in METRICS},
)


@pytest.fixture
def past() -> Iterator[PastServer]:
    """400 rows, one a second, that end 200 s ago."""
    begin = time.time() - 600.0
    server = PastServer([(begin + n, row(n)) for n in range(400)])
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


class Watcher:
    """Keeps what the detector publishes."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.anomalies: list[Anomaly] = []
        self.jobs: list[Training] = []
        self.cards: list[ModelCard] = []
        self.states: list[Service] = []
        self.expected = 0
        self.rows = 0
        self._stream = bus.subscribe(ANOMALY, EXPECTED, MODEL, TRAINING, SERVICE, SYSTEM_SCORING)

    async def follow(self) -> None:
        async for delivery in self._stream:
            first = delivery.topic.split("/")[0]
            if first == "anomaly":
                self.anomalies.append(delivery.read(ANOMALY)[1])
            elif first == "training":
                self.jobs.append(delivery.read(TRAINING)[1])
            elif first == "model":
                self.cards.append(delivery.read(MODEL)[1])
            elif delivery.topic == "service/detector":
                self.states.append(delivery.read(SERVICE)[1])
            elif delivery.topic == "system/scoring":
                self.rows = delivery.read(SYSTEM_SCORING)[1].rows
            elif first == "expected":
                self.expected += 1


async def until(holds: Callable[[], object], what: str, limit_s: float = 15.0) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {what}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(broker: PrivateBroker) -> AsyncIterator[Watcher]:
    await broker.user("anna", Role.VIEWER)
    watcher = Watcher(broker.bus("anna"))
    async with watcher.bus:
        task = asyncio.create_task(watcher.follow())
        try:
            await asyncio.wait_for(watcher.bus.wait_connected(), 10)
            yield watcher
        finally:
            task.cancel()


@asynccontextmanager
async def detecting(
    broker: PrivateBroker, past: PastServer, store: Path, price_per_kwh: float | None = None
) -> AsyncIterator[None]:
    config = DetectorConfig(
        bus=broker.address,
        password=broker.passwords["detector"],
        live_password=broker.passwords["detector-live"],
        api_url=past.url,
        api_token=TOKEN,
        store=store,
        outbox=store / "outbox.db",
        look_every_s=0.1,
        price_per_kwh=price_per_kwh,
    )
    task = asyncio.create_task(run(config))
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def simulator(broker: PrivateBroker) -> AsyncIterator[Bus]:
    async with broker.bus("simulator") as bus:
        await asyncio.wait_for(bus.wait_connected(), 10)
        yield bus


async def play(bus: Bus, past: PastServer, first: int, last: int, *, fault: bool = False) -> None:
    begin = past.rows[0][0]
    for number in range(first, last):
        body = {"ts": round(1000 * (begin + number)), **row(number, fault=fault)}
        await bus.send(TELEMETRY, TelemetryTopic("pump-1"), body)


async def test_a_fault_is_one_episode_with_every_field(
    broker: PrivateBroker, past: PastServer, simulator: Bus, tmp_path: Path
) -> None:
    async with broker.bus("gateway") as gateway, watching(broker) as seen, detecting(broker, past, tmp_path):
        gateway.keep(MACHINE, MachineTopic("pump-1"), MACHINE_ROW)
        await until(lambda: seen.cards, "a model from history alone")
        await until(lambda: seen.jobs and seen.jobs[-1].status == "completed", "the job is completed")
        assert seen.cards[-1].samples == 300
        assert seen.jobs[-1].progress == 100.0
        await until(lambda: seen.states[-1].state == "ok", "and says that all is well")

        await play(simulator, past, 400, 460)
        await until(lambda: seen.expected, "what is expected")
        assert not seen.anomalies
        await play(simulator, past, 460, 500, fault=True)
        await until(lambda: seen.anomalies, "an episode opens")
        await play(simulator, past, 500, 600)
        await until(lambda: seen.anomalies[-1].phase == "closed", "the episode closes")

    assert [one.phase for one in seen.anomalies][:1] == ["opened"]
    assert len({one.anomaly_id for one in seen.anomalies}) == 1
    opened, closed = seen.anomalies[0], seen.anomalies[-1]
    assert opened.metric == "power_kw"
    assert opened.machine_name == "Pump 1"
    assert opened.value > opened.high > opened.expected > opened.low
    assert opened.model.name == "normal"
    assert sum(one.share for one in opened.contributors) == pytest.approx(1.0)
    began_s = past.rows[0][0] + 460
    assert began_s - 0.001 <= opened.started_at.timestamp() <= began_s + 20
    assert closed.excess_kwh == pytest.approx(9.0 * 40 / 3600, rel=0.5)
    assert closed.duration_s > opened.duration_s


async def test_after_a_restart_the_model_is_loaded_and_not_trained_again(
    broker: PrivateBroker, past: PastServer, simulator: Bus, tmp_path: Path
) -> None:
    async with watching(broker) as seen:
        async with detecting(broker, past, tmp_path):
            await until(lambda: seen.jobs and seen.jobs[-1].status == "completed", "trained")
        jobs = len(seen.jobs)
        await until(lambda: seen.states[-1].state == "stopped", "the detector says that it stopped")
        async with detecting(broker, past, tmp_path):
            await until(lambda: seen.states[-1].state == "ok", "the detector is back")
            await play(simulator, past, 400, 420)
            await play(simulator, past, 420, 460, fault=True)
            await until(lambda: seen.anomalies, "an episode opens")
        assert len(seen.jobs) == jobs
        assert seen.anomalies[0].model.version.split(".")[0] == "1", "1, or a refit of it"


async def test_an_open_episode_keeps_its_id_over_a_restart(
    broker: PrivateBroker, past: PastServer, simulator: Bus, tmp_path: Path
) -> None:
    async with watching(broker) as seen:
        async with detecting(broker, past, tmp_path):
            await until(lambda: seen.jobs and seen.jobs[-1].status == "completed", "trained")
            await play(simulator, past, 400, 430)
            await play(simulator, past, 430, 460, fault=True)
            await until(lambda: seen.anomalies, "an episode opens")
        await until(lambda: seen.states[-1].state == "stopped", "the detector says that it stopped")
        async with detecting(broker, past, tmp_path):
            await until(lambda: seen.states[-1].state == "ok", "the detector is back")
            await play(simulator, past, 460, 600)
            await until(lambda: seen.anomalies[-1].phase == "closed", "the episode closes")
        assert len({one.anomaly_id for one in seen.anomalies}) == 1


KILLED = """
import asyncio, sys
from pathlib import Path
from broker.bus import BusAddress
from detector.service import DetectorConfig, run
host, port, root, password, live_password, url, token, store = sys.argv[1:]
asyncio.run(run(DetectorConfig(
    bus=BusAddress(host, int(port), root), password=password, live_password=live_password, api_url=url,
    api_token=token, store=Path(store), outbox=Path(store) / "outbox.db", look_every_s=0.1,
)))
"""


@asynccontextmanager
async def killed_later(broker: PrivateBroker, past: PastServer, store: Path) -> AsyncIterator[None]:
    """The detector in a process of its own, which ends by kill -9."""
    address = broker.address
    secrets = (broker.passwords["detector"], broker.passwords["detector-live"])
    where = (address.host, str(address.port), address.root, *secrets, past.url, TOKEN, str(store))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, *where)
    try:
        yield
        assert process.returncode is None, "it still runs"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_an_episode_open_when_killed_goes_on_and_what_was_queued_meanwhile_is_scored(
    broker: PrivateBroker, past: PastServer, simulator: Bus, tmp_path: Path
) -> None:
    begin_s = past.rows[0][0]
    async with watching(broker) as seen:
        async with killed_later(broker, past, tmp_path):
            await until(lambda: seen.jobs and seen.jobs[-1].status == "completed", "trained", 30.0)
            await play(simulator, past, 400, 430)
            await play(simulator, past, 430, 460, fault=True)
            await until(lambda: seen.anomalies, "an episode opens")
            await until(lambda: seen.rows >= 60, "all of it is scored")
        past.rows += [(begin_s + n, row(n, fault=n >= 430)) for n in range(400, 460)]
        await play(simulator, past, 460, 470, fault=True)
        await play(simulator, past, 470, 580)
        assert [one.phase for one in seen.anomalies][-1] != "closed", "nobody scores them now"
        async with killed_later(broker, past, tmp_path):
            await until(lambda: seen.anomalies[-1].phase == "closed", "the episode closes", 30.0)
    assert len({one.anomaly_id for one in seen.anomalies}) == 1
    # Nobody here says that events are stored, so the outbox gives them out again: the same ones.
    assert len({one.ts for one in seen.anomalies if one.phase == "opened"}) == 1
    closed = seen.anomalies[-1]
    assert begin_s + 470 - 0.001 <= closed.ts.timestamp() <= begin_s + 530, (
        "by the rows' times, not the clock"
    )
    assert closed.excess_kwh == pytest.approx(9.0 * 40 / 3600, rel=0.5)


async def test_a_cost_is_told_where_a_kilowatt_hour_has_a_price(
    broker: PrivateBroker, past: PastServer, simulator: Bus, tmp_path: Path
) -> None:
    async with watching(broker) as seen, detecting(broker, past, tmp_path, price_per_kwh=0.25):
        await until(lambda: seen.jobs and seen.jobs[-1].status == "completed", "trained")
        await play(simulator, past, 400, 460)
        await play(simulator, past, 460, 500, fault=True)
        await until(lambda: seen.anomalies, "an episode opens")
        opened = seen.anomalies[0]
        assert opened.cost == pytest.approx(0.25 * (opened.excess_kwh or 0.0), rel=1e-5)
        await until(lambda: seen.rows >= 100, "it says how scoring keeps up")


async def test_garbage_and_late_rows_stop_nothing(
    broker: PrivateBroker, past: PastServer, simulator: Bus, tmp_path: Path
) -> None:
    async with watching(broker) as seen, detecting(broker, past, tmp_path):
        await until(lambda: seen.jobs and seen.jobs[-1].status == "completed", "trained")
        await simulator.send_raw(TELEMETRY, "telemetry/pump-1", b"{not json")
        await simulator.send(TELEMETRY, TelemetryTopic("pump-1"), {"power_kw": "NaN", "current_a": None})
        old = {"ts": round(1000 * (time.time() - 7200)), "power_kw": 1e6, "current_a": 0.0}
        await simulator.send(TELEMETRY, TelemetryTopic("pump-1"), [old, {**old, "ts": old["ts"] + 1000}])
        await play(simulator, past, 400, 430)
        await until(lambda: seen.expected, "rows are scored all the same")
        assert not seen.anomalies


async def test_a_machine_the_gateway_does_not_know_yet_holds_up_no_other(
    broker: PrivateBroker, past: PastServer, simulator: Bus, tmp_path: Path
) -> None:
    served, past.answer = past.answer, lambda _path, _token: None  # type: ignore[method-assign]
    async with watching(broker) as seen, detecting(broker, past, tmp_path):
        await until(lambda: seen.states and seen.states[-1].state == "degraded", "nothing is known yet")
        await simulator.send(TELEMETRY, TelemetryTopic("a-new-machine"), {"power_kw": 3.0})
        past.answer = served  # type: ignore[method-assign]
        await until(lambda: seen.cards, "the known machine is trained")
        await until(lambda: seen.states[-1].state == "ok", "and all is well")


async def test_without_history_it_is_degraded_and_recovers(
    broker: PrivateBroker, past: PastServer, tmp_path: Path
) -> None:
    served, past.answer = past.answer, lambda _path, _token: None  # type: ignore[method-assign]
    async with watching(broker) as seen, detecting(broker, past, tmp_path):
        await until(lambda: seen.states and seen.states[-1].state == "degraded", "it says so")
        past.answer = served  # type: ignore[method-assign]
        await until(lambda: seen.cards, "it trains once history is there")
        await until(lambda: seen.states[-1].state == "ok", "and says so")
