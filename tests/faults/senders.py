"""Sources under load: plain ones, with a time or without, and ones that number what they send.

A reading's value is its message's number, so that each can be told from all others for ever.
"""

import json
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final, Self

from faults.history import History
from faults.site import Site
from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

METRIC: Final = "n_count"
AGAIN_S: Final = 5.0
KEEPALIVE_S: Final = 5
_REFUSED_FROM: Final = 128


class Sender:
    """A client that publishes `rate` messages a second over its machines until it is stopped.

    It measures on while there is no connection. What is not acknowledged when one is lost is sent again on
    the next, before what is new. A numbered one keeps all that is not committed, and sends that again, also
    when the mark has not moved for 5 s.
    """

    def __init__(
        self,
        site: Site,
        name: str,
        *,
        rate: float = 500,
        machines: int = 20,
        timed: bool = True,
        numbered: bool = False,
        boot: str = "b1",
        port: int = 0,
    ) -> None:
        self.site = site
        self.port = port or site.broker.port
        self.name = name
        self.boot = boot
        self.machines = [f"{name}-{number}" for number in range(machines)]
        self.sent = 0
        self.mark = 0
        self.acknowledged = 0
        self._rate = rate
        self._timed = timed
        self._numbered = numbered
        self._history = History(site.history, f"sender-{name}")
        self._kept: dict[int, tuple[str, bytes]] = {}
        self._fresh: deque[int] = deque()
        self._again: deque[int] = deque()
        self._mids: dict[int, int] = {}
        self._answers: deque[tuple[Any, int, int]] = deque()
        self._up = threading.Event()
        self._anew = threading.Event()
        self._stop = threading.Event()
        self._moved_at = time.monotonic()
        self._began_ms = 0
        self._thread = threading.Thread(target=self._run, name=name)
        self._client: paho.Client

    def __enter__(self) -> Self:
        if self.name not in self.site.broker.passwords:
            self.site.user(self.name, "edge")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, limit_s: float = 60) -> None:
        """Send no more that is new; wait until all is acknowledged (committed, where it is numbered)."""
        self._stop.set()
        self._thread.join(limit_s)
        assert not self._thread.is_alive(), f"{self.name}: {len(self._kept)} messages were never answered"
        self._history.close()

    def sent_by(self, machine: str) -> int:
        """Return how many readings of a machine were sent."""
        count, first = len(self.machines), (self.machines.index(machine) or len(self.machines))
        return max(0, (self.sent - first) // count + 1)

    def _run(self) -> None:
        self._began_ms = int(time.time() * 1000)
        began = time.monotonic()
        self._connect()
        while not (self._stop.is_set() and not self._kept):
            if not self._stop.is_set():  # a device measures on while it cannot send
                for _ in range(self._due(time.monotonic() - began)):
                    self._fresh.append(self._make())
            if not self._up.is_set():
                self._connect()
                continue
            self._take_answers()
            stuck = self._numbered and self._kept and time.monotonic() - self._moved_at > AGAIN_S
            if stuck or self._anew.is_set():
                self._anew.clear()
                self._moved_at = time.monotonic()
                self._again = deque(sorted(self._kept.keys() - set(self._fresh)))
            for waiting in (self._again, self._fresh):
                while waiting and self._up.is_set() and self._room():
                    self._publish(waiting.popleft())
            time.sleep(0.005)
        self._client.disconnect()
        self._client.loop_stop()

    def _due(self, elapsed_s: float) -> int:
        """Return how many messages are to be made now."""
        return int(elapsed_s * self._rate) - self.sent

    def _room(self) -> bool:
        return len(self._mids) < 4000

    def _make(self) -> int:
        self.sent += 1
        machine = self.machines[self.sent % len(self.machines)]
        row: dict[str, Any] = {METRIC: self.sent}
        ts_ms = None
        if self._timed:
            ts_ms = self._began_ms + round(self.sent * 1000 / self._rate)
            row = {"ts": ts_ms, **row}
        self._kept[self.sent] = (f"enms/telemetry/{machine}", json.dumps(row).encode())
        self._note_sent(self.sent, machine, self.sent, ts_ms)
        return self.sent

    def _note_sent(
        self, seq: int, machine: str, value: int | None, ts_ms: int | None, key: str | None = None
    ) -> None:
        self._history.note(
            "sent",
            client=self.name,
            boot=self.boot,
            seq=seq,
            machine=machine,
            metric=METRIC,
            value=value,
            ts_ms=ts_ms,
            numbered=self._numbered,
            key=key,
        )

    def _publish(self, seq: int) -> None:
        if seq not in self._kept:
            return
        topic, payload = self._kept[seq]
        properties = None
        if self._numbered:
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = [("client", self.name), ("boot", self.boot), ("seq", str(seq))]
        info = self._client.publish(topic, payload, qos=1, properties=properties)
        if info.rc == paho.MQTT_ERR_SUCCESS:
            self._mids[info.mid] = seq

    def _connect(self) -> None:
        """Take a new connection, and send again what the one before left open."""
        if hasattr(self, "_client"):
            self._client.loop_stop()
        self._take_answers()
        self._mids.clear()
        client = self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=self.name,
            protocol=paho.MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.username_pw_set(self.name, self.site.broker.passwords[self.name])
        client.max_inflight_messages_set(2000)
        client.max_queued_messages_set(0)
        client.will_set(f"enms/status/{self.name}", json.dumps({"state": "offline"}), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        with suppress(OSError):
            client.connect("127.0.0.1", self.port, keepalive=KEEPALIVE_S)
            client.loop_start()
            self._up.wait(3)
        if not self._up.is_set():
            time.sleep(0.1)

    def _on_connect(self, client: Any, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        if code.is_failure:
            return
        self._history.note("connected", client=self.name)
        said = {"state": "online", "boot": self.boot}
        client.publish(f"enms/status/{self.name}", json.dumps(said), qos=1, retain=True)
        if self._numbered:
            client.subscribe(f"enms/committed/{self.name}", qos=1)
        self._anew.set()
        self._up.set()

    def _on_disconnect(self, client: Any, *_: Any) -> None:
        if client is self._client:
            self._up.clear()

    def _on_publish(self, client: Any, _data: Any, mid: int, code: Any, _properties: Any) -> None:
        # The client holds a lock of its own here; who publishes takes the answers up.
        self._answers.append((client, mid, code.value))

    def _take_answers(self) -> None:
        while self._answers:
            client, mid, code = self._answers.popleft()
            seq = self._mids.pop(mid, None) if client is self._client else None
            if seq is None:
                continue
            did = "refused_by_broker" if code >= _REFUSED_FROM else "acknowledged"
            self.acknowledged += did == "acknowledged"
            self._history.note(did, client=self.name, boot=self.boot, seq=seq)
            if not self._numbered:
                self._kept.pop(seq, None)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        said = json.loads(message.payload)
        self._history.note(
            "committed", client=self.name, boot=said["boot"], seq=said["seq"], retained=message.retain
        )
        if said["boot"] != self.boot:
            return
        self._moved_at = time.monotonic()
        for seq in range(self.mark + 1, said["seq"] + 1):
            self._kept.pop(seq, None)
        self.mark = max(self.mark, said["seq"])
