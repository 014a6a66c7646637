"""Learning the regimes of a machine: which there are, how long each is held, what each part is judged by."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.models.base import TooFewRowsError
from detector.models.limits import ROWS_LEAST, calibrated, with_windows
from detector.models.residual import ResidualModel
from detector.models.residual_fit import without_extremes
from detector.models.splitting import (
    CODES,
    MODES_MOST,
    Switches,
    ages_s,
    stays_of,
    switches_of,
)
from detector.rows import Floats, Rows

HELD: Final = -1
PAST_S_LEAST: Final = 6 * 3600.0
"""In less past than this a machine has not shown what states it has."""
OLD_S: Final = 3600.0
"""From this age on a regime is judged by rows as old: what warms up has mostly done so."""
HOLDS_S: Final = (0.0, 120.0, 300.0, 600.0)
"""How long after a change-over a regime may be held, in windows of at least one."""
STRANGE_MOST: Final = 0.005
SECOND_COUNTS: Final = 0.8
"""How much the second switch, which tells less, counts beside the first in which regime is nearest."""
STAYS_LEAST: Final = 5
"""Fewer change-overs than these do not tell what is usual after one."""
OLD_SIGMAS: Final = 6.0
YOUNG_SIGMAS: Final = 9.0


@dataclass(frozen=True, slots=True)
class Regime:
    """Held up to an age of `hold_s`, `young` up to OLD_S, then `old`. One of the two may be missing.

    Without `young` it is held until it is old; without `old` (it never lasts so long) it stays young.
    """

    hold_s: float
    young: ResidualModel | None
    old: ResidualModel | None

    @property
    def any_part(self) -> ResidualModel:
        """Return the part that has seen most: old, else young."""
        part = self.old or self.young
        if part is None:
            raise ValueError("a regime without parts is none")
        return part

    def at(self, age_s: float) -> ResidualModel | None:
        """Return what judges at an age, None where nothing does."""
        if age_s < self.hold_s:
            return None
        return self.old if age_s >= OLD_S and self.old is not None else self.young

    def judges(self, ages: Floats) -> Iterator[tuple[ResidualModel, NDArray[np.bool_]]]:
        """Yield each part with the ages (n) that are its own."""
        old = (ages >= OLD_S) & (self.old is not None)
        for part, own in ((self.young, ~old & (ages >= self.hold_s)), (self.old, old)):
            if part is not None:
                yield part, own


def learn_regimes(rows: Rows, whole: ResidualModel) -> tuple[Switches, NDArray[np.int64], tuple[Regime, ...]]:
    """Return the switches, the regime of each code (CODES) and the regimes.

    Raises TooFewRowsError where the past is short, where there are no switches, or fewer than two regimes
    that can be judged.
    """
    if rows.ts_s[-1] - rows.ts_s[0] < PAST_S_LEAST:
        raise TooFewRowsError("the past is too short to tell states apart")
    rows = Rows(rows.metrics, rows.ts_s, without_extremes(rows.values))
    switches = switches_of(rows)
    if not len(switches):
        raise TooFewRowsError("nothing these rows measure tells states apart")
    codes = switches.codes(rows.values)
    stays = stays_of(rows.ts_s, codes, whole.patience.hole_s)
    ages = ages_s(rows.ts_s, stays, begun=False)
    of_code = np.full(CODES, HELD)
    regimes: list[Regime] = []
    for code in np.unique(codes):
        regime = _learn(rows, codes == code, stays, ages, whole)
        if regime is not None:
            of_code[code] = len(regimes)
            regimes.append(regime)
    if len(regimes) < 2:  # noqa: PLR2004  one state is no state
        raise TooFewRowsError("no two states have rows enough to be learnt apart")
    lasting = np.unique(codes[ages >= HOLDS_S[-1]])
    return switches, _nearest(of_code, switches, rows, lasting), tuple(regimes)


def _learn(
    rows: Rows, own: NDArray[np.bool_], stays: NDArray[np.int64], ages: Floats, whole: ResidualModel
) -> Regime | None:
    young, hold_s = None, OLD_S
    holds_s = sorted({max(hold, whole.span_s) for hold in HOLDS_S}, reverse=True)
    for hold in holds_s:
        among = own & (ages >= hold) & (ages < OLD_S)
        if among.sum() >= ROWS_LEAST and len(np.unique(stays[among])) >= STAYS_LEAST:
            young = calibrated(whole, rows, among, stays, YOUNG_SIGMAS)
            hold_s = _shortest(young, rows, own, ages, [one for one in holds_s if one <= hold])
            break
    later = own & (ages >= OLD_S)
    old = calibrated(whole, rows, later, stays, OLD_SIGMAS) if later.sum() >= ROWS_LEAST else None
    return None if young is None and old is None else Regime(hold_s, young, old)


def _shortest(
    young: ResidualModel, rows: Rows, own: NDArray[np.bool_], ages: Floats, holds_s: list[float]
) -> float:
    """Return the shortest hold, of those that fall, after which training looks as it does after the first."""
    asked = own & (ages >= holds_s[-1]) & (ages < holds_s[0])
    near = with_windows(rows.ts_s, asked, young.span_s)
    strange = np.zeros(len(rows), bool)
    strange[near] = young.score(rows.where(near)) >= 1.0
    shortest = holds_s[0]
    for hold_s in holds_s[1:]:
        between = asked & (ages >= hold_s)
        if (strange & between).sum() > STRANGE_MOST * between.sum():
            break
        shortest = hold_s
    return shortest


def _nearest(
    of_code: NDArray[np.int64], switches: Switches, rows: Rows, lasting: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give each code that has not lasted in training the regime whose switches come nearest.

    Near is in shares of the range of each switch's modes, the first switch counting more.
    """
    values, modes = rows.values[:, switches.columns], switches.modes(rows.values)
    levels = np.full((len(switches), MODES_MOST), np.nan)
    for place in range(len(switches)):
        for mode in np.unique(modes[:, place]):
            levels[place, mode] = np.nanmedian(values[modes[:, place] == mode, place])
    spans = np.nanmax(levels, axis=1) - np.nanmin(levels, axis=1)
    places = levels / np.maximum(spans, 1e-12)[:, None]
    own = np.arange(CODES)[:, None] // MODES_MOST ** np.arange(len(switches)) % MODES_MOST
    at = np.take_along_axis(places, own.T, axis=1).T
    judged = np.flatnonzero(of_code != HELD)
    found = of_code.copy()
    for code in set(range(CODES)) - set(lasting.tolist()):
        far = np.abs(at[judged] - at[code]) @ SECOND_COUNTS ** np.arange(len(switches))
        if np.isfinite(far).all():
            found[code] = of_code[judged[int(np.argmin(far))]]
    return found
