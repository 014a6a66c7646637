"""How long to gather rows before they are scored: not at all when few come, a while when many do."""

from typing import Final

MOST: Final = 4000
"""So many messages are a tick at most: a tenth of a second's work."""
WAIT_MOST_S: Final = 0.15
FULL_RATE: Final = 6000.0
"""Messages a second from which on gathering is longest; what a pass costs by itself is then little."""
FORGET: Final = 0.2


class Pace:
    """Follows the rate of messages."""

    def __init__(self) -> None:
        self.most = MOST
        self._rate = 0.0
        self._last_s: float | None = None

    @property
    def wait_s(self) -> float:
        """How long to gather after the first message."""
        return WAIT_MOST_S * min(1.0, self._rate / FULL_RATE)

    def took(self, messages: int, now_s: float) -> None:
        """Note that so many were taken by now."""
        if self._last_s is not None and now_s > self._last_s:
            rate = messages / (now_s - self._last_s)
            self._rate += FORGET * (rate - self._rate)
        self._last_s = now_s
