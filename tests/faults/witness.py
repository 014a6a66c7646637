"""Who watches: a listener on the bus during a test, and a look into the database after it."""

import json
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from faults.history import History
from faults.senders import METRIC, Sender
from faults.site import Site
from fixtures.product import until
from paho.mqtt import client as paho

HEARD: Final = ("latest/+", "health/+", "rejected/#", "anomaly/+", "alarm/+/+", "service/+")
MOST_POINTS: Final = 50_000
HOUR: Final = timedelta(hours=1)


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


def readings(site: Site, machine: str, metric: str, back: timedelta = HOUR) -> Any:
    """Return (ts_ms, value) of every stored reading; None while the API does not answer with them."""
    now = datetime.now(UTC)
    found = site.ask(
        f"machines/{machine}/history",
        metric=metric,
        start=(now - back).isoformat(),
        end=(now + timedelta(hours=2)).isoformat(),
        points=MOST_POINTS,
    )
    if found is None:
        return None
    series = found["series"][0]
    assert set(series["count"]) <= {1}, f"{machine} has more than {MOST_POINTS} readings"
    return list(zip(series["ts"], series["mean"], strict=True))


def until_stored(site: Site, *senders: Sender, seconds: float = 60) -> float:
    """Wait until as many readings are there as were sent or acknowledged; returns how long it took."""
    began = time.monotonic()
    for sender in senders:
        until(lambda sender=sender: count(site, sender) >= sender.acknowledged, seconds)
    return time.monotonic() - began


def count(site: Site, sender: Sender) -> int:
    return sum(len(readings(site, machine, METRIC) or ()) for machine in sender.machines)


def dump(site: Site, *senders: Sender, back: timedelta = HOUR) -> None:
    """Write down all that is stored of the senders' machines."""
    history = History(site.history, "database")
    for sender in senders:
        for machine in sender.machines:
            for ts_ms, value in until(lambda machine=machine: readings(site, machine, METRIC, back), 20):
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
    there = readings(site, machine, METRIC)
    if state is None or there is None:
        return False
    return len(there) + state["health"].get("missed", 0) >= sender.sent_by(machine)
