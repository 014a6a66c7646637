"""Who watches: a listener on the bus during a test, and a look into the database after it."""

import json
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from faults.history import History
from faults.senders import METRIC, Sender
from faults.site import Site
from faults.stored_rows import count_up_to, samples
from paho.mqtt import client as paho
from psycopg import OperationalError

HEARD: Final = ("latest/+", "health/+", "rejected/#", "anomaly/+", "alarm/+/+", "service/+")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)


class Listener:
    """An engineer's client that stays through everything. `moves` counts what came of each kind and when."""

    def __init__(self, site: Site, name: str = "ernie") -> None:
        self.site = site
        self.name = name
        self.last: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self._history = History(site.history, f"listener-{name}")
        self._subscribed = threading.Event()

    def __enter__(self) -> Self:
        password = self.site.user(self.name, "engineer")
        client = self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=self.name,
            protocol=paho.MQTTProtocolVersion.MQTTv5,
        )
        client.username_pw_set(self.name, password)
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._on_message
        client.connect("127.0.0.1", self.site.broker.port, keepalive=10)
        client.loop_start()
        assert self._subscribed.wait(5), "the broker did not answer the listener"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._history.close()

    def _on_connect(self, client: Any, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        if not code.is_failure:
            client.subscribe([(f"enms/{topic}", 1) for topic in HEARD])

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        topic = message.topic.removeprefix("enms/")
        kind, _, rest = topic.partition("/")
        said = json.loads(message.payload) if message.payload else {}
        self.last[topic] = said
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "health":
            self._history.note("missed", machine=rest, count=said.get("missed", 0))
        elif kind == "alarm":
            machine, code = rest.split("/")
            self._history.note("alarm", machine=machine, code=code, state=said.get("state", ""))
        elif kind == "anomaly":
            self._history.note("anomaly", machine=rest, phase=said["phase"])

    def newest(self, machines: Iterable[str]) -> float:
        """Return the newest time, in epoch seconds, that `latest/…` told of any of the machines."""
        times = [
            datetime.fromisoformat(value["ts"]).timestamp()
            for machine in machines
            for value in self.last.get(f"latest/{machine}", {}).get("values", {}).values()
        ]
        return max(times, default=0.0)


def readings(site: Site, machine: str) -> list[tuple[int, float]]:
    """Return (ts_ms, value) of a machine's readings, oldest first; none while the database is away."""
    try:
        found = samples(site.database_url, machine, METRIC)
    except OperationalError:
        return []
    return [((ts - EPOCH) // MILLISECOND, value) for ts, _, value in found]


def until_stored(site: Site, *senders: Sender, seconds: float = 60) -> float:
    """Wait until as many readings are stored as were sent; returns how long it took.

    Gives up after `seconds`: the checker says what is missing.
    """
    began = time.monotonic()
    while time.monotonic() - began < seconds and any(count(site, one) < one.sent for one in senders):
        time.sleep(0.1)
    return time.monotonic() - began


def count(site: Site, sender: Sender) -> int:
    try:
        return count_up_to(site.database_url, sender.machines, METRIC, sender.sent)
    except OperationalError:
        return 0


def dump(site: Site, *senders: Sender) -> None:
    """Write down all that is stored of the senders' machines."""
    history = History(site.history, "database")
    for sender in senders:
        for machine in sender.machines:
            for ts_ms, value in readings(site, machine):
                history.note("stored", machine=machine, metric=METRIC, value=value, ts_ms=ts_ms)
    history.close()


def until_counted(site: Site, sender: Sender, seconds: float) -> float:
    """Wait until all losses are counted, or that time is over; returns how long it took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if all(_gaps_are_counted(site, sender, machine) for machine in sender.machines):
            break
        time.sleep(0.5)
    return time.monotonic() - began


def _gaps_are_counted(site: Site, sender: Sender, machine: str) -> bool:
    state = site.ask(f"machines/{machine}")
    there = readings(site, machine)
    if state is None or not there:
        return False
    return len(there) + state["health"].get("missed", 0) >= sender.sent_by(machine)


class MarkWatch:
    """Looks into the database each time a source was told a new mark: is all of it there by then?"""

    def __init__(self, site: Site, sender: Sender) -> None:
        self._site = site
        self._sender = sender
        self._history = History(site.history, f"marks-{sender.name}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._history.close()

    def _run(self) -> None:
        sender, last = self._sender, 0
        while not self._stop.wait(0.2):
            mark = sender.mark
            if mark <= last:
                continue
            with suppress(OperationalError):
                stored = count_up_to(self._site.database_url, sender.machines, METRIC, mark)
                last = mark
                self._history.note("looked", client=sender.name, boot=sender.boot, seq=mark, stored=stored)
