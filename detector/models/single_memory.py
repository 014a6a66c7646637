"""How like its own past a channel is: the nearest of the stretches it remembers."""

import numpy as np
from numpy.typing import NDArray

from detector.rows import Floats
from detector.tuning import SingleSetting


class Memory:
    """The newest values, and for each lag how far the stretch that ended then is from the one that ends now.

    The distance is the root of a sum of squared differences whose weight falls from one step to the one
    before by `1 - 1/echo_steps`, so that a new value costs one operation on an array.
    """

    def __init__(self, setting: SingleSetting, values: Floats, sums: Floats) -> None:
        """Go on from `values`, newest first, and the weighted sums of squares `sums` by lag."""
        self._setting = setting
        room = setting.memory_steps + setting.lags
        self._values = np.zeros(2 * room)
        self._first = room
        self._values[room : room + len(values)] = values
        self.count = len(values)
        self.sums = np.zeros(setting.memory_steps)
        self.sums[: len(sums)] = sums

    @property
    def values(self) -> Floats:
        """What is remembered, newest first."""
        return self._values[self._first : self._first + self.count]

    @property
    def remembered(self) -> int:
        """With how many lags a stretch can be compared."""
        return min(self.count, self._setting.memory_steps)

    @property
    def nbytes(self) -> int:
        """How much the arrays take."""
        return self._values.nbytes + self.sums.nbytes

    def take(self, value: float) -> float | None:
        """Remember a value; return how far the stretches most like the one that ends with it are on average.

        None while there are too few to compare with. Stretches closer than `lags` steps do not count: they
        are the present.
        """
        setting, known = self._setting, self.remembered
        sums = self.sums[:known]
        sums *= 1.0 - 1.0 / setting.echo_steps
        sums += np.square(value - self._values[self._first : self._first + known])
        found = self._nearest()
        self._remember(value)
        return found

    def alike(self) -> NDArray[np.intp]:
        """Return how many steps ago the stretches ended that were most like the present but its last value.

        What followed on them is what the last value might have been. Only after a distance was returned.
        """
        first, last = self._compared(self.count - 1)
        lags = np.arange(first, last)
        sums = self.sums[lags - 1] - np.square(self.values[0] - self.values[lags])
        return lags[np.argpartition(sums, self._setting.nearest - 1)[: self._setting.nearest]]

    def _nearest(self) -> float | None:
        nearest = self._setting.nearest
        first, last = self._compared(self.count)
        if last - first < nearest + 1:
            return None
        sums = self.sums[first - 1 : last - 1]
        return float(np.sqrt(np.partition(sums, nearest - 1)[:nearest]).mean())

    def _compared(self, count: int) -> tuple[int, int]:
        """Return the first lag that is compared and the one after the last, with so many values before."""
        setting = self._setting
        return setting.lags, min(setting.memory_steps, count - setting.lags + 1) + 1

    def _remember(self, value: float) -> None:
        room = self._setting.memory_steps + self._setting.lags
        if self._first == 0:
            self._values[room:] = self._values[:room]
            self._first = room
        self._first -= 1
        self._values[self._first] = value
        self.count = min(self.count + 1, room)
