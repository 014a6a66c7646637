"""Whether what was sent is what is held: every reading once, as it was sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from enms.bench.truth import Load
from gateway.store.bulk import HeldSeries


@dataclass(frozen=True, slots=True)
class Verdict:
    """Readings that are missing, that are too many, and series whose values are not what was sent."""

    readings: int
    lost: int
    twice: int
    wrong_series: int

    @property
    def perfect(self) -> bool:
        """Whether every reading is there once, as it was sent."""
        return not (self.lost or self.twice or self.wrong_series)


def judge(load: Load, messages: int, held: Sequence[HeldSeries]) -> Verdict:
    """Compare what is held with what was sent."""
    counts, sums = load.expected(messages)
    found = {(one.machine, one.metric): one for one in held}
    lost = twice = wrong = readings = 0
    for machine in range(load.machines):
        wanted = int(counts[machine])
        for column, metric in enumerate(load.names):
            one = found.pop((load.name(machine), metric), HeldSeries("", "", 0, 0))
            readings += one.readings
            lost += max(0, wanted - one.readings)
            twice += max(0, one.readings - wanted)
            wrong += one.checksum != sums[machine, column]
    strangers = sum(one.readings for one in found.values())
    return Verdict(readings + strangers, lost, twice + strangers, wrong + len(found))
