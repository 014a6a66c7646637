"""The product's parts, each a process of its own that a test kills, freezes, leaves dead and starts again.

The broker and the database are real and private; the gateway is `enms gateway`, as somebody runs it who
has a broker and a database already.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fixtures.broker import PrivateBroker, free_port
from fixtures.postgres import PrivatePostgres

from enms.secret_files import SecretFiles


class Site:
    """`history` is where the parts of a test write down what they did.

    With several workers the first is `gateway`, which serves the API, the others `gateway-1`, `gateway-2`, …
    """

    def __init__(self, folder: Path, postgres: PrivatePostgres, workers: int = 1) -> None:
        self.folder = folder
        self.workers = workers
        self.history = folder / "history"
        self.http_port = free_port()
        self.broker = PrivateBroker(folder)
        self.postgres = postgres
        self.database_url = ""
        self._secrets = SecretFiles(folder / "data")
        self.broker.passwords.update(self._secrets.broker_passwords())
        self.broker.mosquitto.prepare(self.broker.passwords)
        self.gateway_mqtt_port = self.broker.port
        """Where the gateway reaches the broker: a test may put something between them."""
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}/api/v1/", trust_env=False)

    def start(self) -> None:
        self.broker.start()
        self.database_url = self.postgres.new_database()
        for number in range(self.workers):
            self.start_gateway(f"gateway-{number}" if number else "gateway")
        self.until_healthy()

    def stop(self) -> None:
        self._http.close()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.broker.stop()
        server = self.postgres._process
        if server is None or server.poll() is not None:  # a test that failed left it dead
            self.postgres.start()
        if self.database_url:
            self.postgres.drop_database(self.database_url)

    def start_gateway(self, name: str = "gateway") -> None:
        command = [sys.executable, "-m", "enms", "gateway"]
        if self.workers > 1:
            number = name.removeprefix("gateway").removeprefix("-") or "0"
            command += ["--worker", f"{number}/{self.workers}"]
        with self.log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment())

    def kill_gateway(self, name: str = "gateway") -> None:
        process = self._processes[name]
        assert process.poll() is None, f"{name} ended by itself: {self.words(name)}"
        process.kill()
        process.wait(10)

    def gateway_pid(self, name: str = "gateway") -> int:
        process = self._processes[name]
        assert process.poll() is None, f"{name} ended by itself: {self.words(name)}"
        return process.pid

    def stop_gateway(self, name: str = "gateway") -> int:
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(15)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def words(self, name: str) -> str:
        return self.log(name).read_text()[-3000:]

    def until_healthy(self, seconds: float = 30) -> float:
        """Wait until the API says that all is well; returns how long it took."""
        began = time.monotonic()
        while True:
            answer = self.answer("health")
            if answer is not None and answer.status_code == httpx.codes.OK:
                return time.monotonic() - began
            said = answer.text if answer is not None else "no answer"
            assert time.monotonic() - began < seconds, said + self.words("gateway")
            time.sleep(0.05)

    def answer(self, path: str, timeout: float = 10, **query: Any) -> httpx.Response | None:
        """Return the API's answer whatever it is, None where there is none."""
        try:
            return self._http.get(path, params=query, headers=self._token(), timeout=timeout)
        except httpx.HTTPError:
            return None

    def get(self, path: str, **query: Any) -> Any:
        answer = self.answer(path, timeout=30, **query)
        assert answer is not None, f"no answer to {path}"
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def ask(self, path: str, **query: Any) -> Any:
        """As `get`, but None while the answer is another one or there is none."""
        answer = self.answer(path, timeout=30, **query)
        return answer.json() if answer is not None and answer.status_code == httpx.codes.OK else None

    def metric(self, name: str, **labels: str) -> float:
        """Return a counter of GET /metrics, the sum over those of its labels that are not given."""
        answer = self.answer("metrics")
        assert answer is not None
        total = 0.0
        for line in answer.text.splitlines():
            words = line.rsplit(" ", 1)
            if words[0].split("{")[0] == name and all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(words[1])
        return total

    def user(self, name: str, role: str) -> str:
        """Add a user or a device; returns the password."""
        answer = self._http.post("users", json={"name": name, "role": role}, headers=self._token())
        assert answer.status_code == httpx.codes.CREATED, answer.text
        self.broker.passwords[name] = answer.json()["password"]
        return self.broker.passwords[name]

    def _token(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._secrets.get('token-cli')}"}

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ENMS_DATA_DIR": str(self.folder / "data"),
            "ENMS_BROKER_HOST": "127.0.0.1",
            "ENMS_MQTT_PORT": str(self.gateway_mqtt_port),
            "ENMS_WS_PORT": str(self.broker.ws_port),
            "ENMS_HTTP_PORT": str(self.http_port),
            "ENMS_DATABASE_URL": self.database_url,
        }


@contextmanager
def running_site(folder: Path, postgres: PrivatePostgres, workers: int = 1) -> Iterator[Site]:
    site = Site(folder, postgres, workers)
    try:
        site.start()
        yield site
    finally:
        site.stop()
