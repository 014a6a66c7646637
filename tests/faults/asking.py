"""Who asks the API all the time, and who watches the present move, while the database is away."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from faults.senders import Sender
from faults.site import Site
from faults.witness import Listener

HANGS_S: Final = 5.0
"""No answer takes so long; the promise is a second, which a busy machine may miss by a little."""


class Asker:
    """Somebody who asks for history all the time. `answers` are (status, content type, seconds)."""

    def __init__(self, site: Site, machine: str) -> None:
        self.answers: list[tuple[int, str, float]] = []
        self.silent = 0
        self._site = site
        self._path = f"machines/{machine}/history"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            began = time.monotonic()
            answer = self._site.answer(self._path, timeout=HANGS_S)
            if answer is None:
                self.silent += 1
            else:
                took_s = time.monotonic() - began
                self.answers.append((answer.status_code, answer.headers["Content-Type"], took_s))

    @contextmanager
    def asking(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def judge(self) -> str:
        """Every answer was a problem document with 503, and there was one each time."""
        assert self.answers
        assert self.silent == 0, f"{self.silent} questions got no answer within {HANGS_S} s"
        assert {(status, kind) for status, kind, _ in self.answers} == {(503, "application/problem+json")}
        took_s = sorted(one[2] for one in self.answers)
        return (
            f"{len(took_s)} times 503, within {took_s[-1]:.2f} s, the median {took_s[len(took_s) // 2]:.2f} s"
        )


def lag_s(listener: Listener, sender: Sender) -> float:
    """How old the newest value is that `latest/…` tells."""
    return time.time() - listener.newest(sender.machines)


def watch_the_present(listener: Listener, sender: Sender, seconds: float) -> float:
    """Return how old the newest value ever was, from two seconds on."""
    worst, until = 0.0, time.monotonic() + seconds
    time.sleep(2)
    while time.monotonic() < until:
        worst = max(worst, lag_s(listener, sender))
        time.sleep(0.25)
    return worst
