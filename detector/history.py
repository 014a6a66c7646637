"""The past, read over the gateway's HTTP API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar

import httpx
import msgspec

from broker.messages import Anomaly, Machine, MetricInfo
from broker.topics import BadTopicError, MachineTopic
from detector.rows import Rows
from detector.windows import rows_of

POINTS: Final = 50_000
METRICS_AT_ONCE: Final = 5
"""Metrics asked for in one go: the gateway answers 250,000 points at most."""
WINDOW_POINTS: Final = 10_000
TIMEOUT_S: Final = 60.0
_Answer = TypeVar("_Answer")


class NoHistoryError(ConnectionError):
    """The gateway could not be asked, or answered with something else than history."""


class _UnknownError(NoHistoryError):
    """The gateway does not know the machine yet: its first reading may be on its way to the database."""


class TooManyRowsError(ValueError):
    """There are more rows in the span than can be taken; ask for a shorter one."""


class _Series(msgspec.Struct, frozen=True):
    metric: str
    ts: list[int]
    mean: list[float]
    bucket_s: float = 0.0


class _History(msgspec.Struct, frozen=True):
    series: list[_Series]


class _Machines(msgspec.Struct, frozen=True):
    machines: list[Machine]


class _State(msgspec.Struct, frozen=True):
    machine: Machine


class _Anomalies(msgspec.Struct, frozen=True):
    anomalies: list[Anomaly]


@dataclass(frozen=True, slots=True)
class Past:
    """What came of a machine: series by metric, not yet joined, and the episodes known in that time."""

    series: tuple[_Series, ...]
    episodes: tuple[tuple[float, float], ...]
    announced: Mapping[str, MetricInfo] = field(default_factory=dict)

    def rows(self) -> Rows:
        """Join the series to rows, as live readings are. Slow for long histories: not for the loop."""
        at: dict[int, dict[str, float]] = {}
        for one in self.series:
            for ts_ms, value in zip(one.ts, one.mean, strict=True):
                at.setdefault(ts_ms, {})[one.metric] = value
        measured: list[tuple[float, Mapping[str, float]]] = [(ts / 1000.0, at[ts]) for ts in sorted(at)]
        return rows_of(measured)


class HistoryClient:
    """Asks the gateway at `url` as the holder of `token`. Every method raises NoHistoryError."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}/api/v1/", headers=headers, timeout=TIMEOUT_S, trust_env=False
        )

    async def close(self) -> None:
        """Give back the connections."""
        await self._http.aclose()

    async def machines(self) -> list[Machine]:
        """Return the machines the gateway knows."""
        return _read(await self._get("machines", {}), _Machines).machines

    async def machine(self, machine: str) -> Machine | None:
        """Return what the gateway knows of a machine, None where it knows none of that name."""
        try:
            return _read(await self._get(f"machines/{machine}", {}), _State).machine
        except _UnknownError:
            return None

    async def past(self, machine: str, now: datetime, days: float) -> Past:
        """Return up to `days` of history before `now`: raw where it is short, else bucket means."""
        try:
            MachineTopic(machine)
        except BadTopicError as error:
            raise NoHistoryError(str(error)) from error
        start = (now - timedelta(days=days)).isoformat()
        query = {"start": start, "end": (now + timedelta(minutes=5)).isoformat(), "points": str(POINTS)}
        known = await self.machine(machine)
        if known is None:
            return Past((), ())
        series: list[_Series] = []
        names = sorted(known.metrics)
        for first in range(0, len(names), METRICS_AT_ONCE):
            asked: dict[str, str | Sequence[str]] = {
                **query,
                "metric": names[first : first + METRICS_AT_ONCE],
            }
            series += _read(await self._get(f"machines/{machine}/history", asked), _History).series
        found = await self._get("anomalies", {"machine": machine, "start": start, "limit": "1000"})
        episodes = tuple(
            (one.started_at.timestamp(), one.ts.timestamp() if one.phase == "closed" else now.timestamp())
            for one in _read(found, _Anomalies).anomalies
        )
        return Past(tuple(series), episodes, known.metrics)

    async def window(self, machine: str, metrics: tuple[str, ...], start: datetime, end: datetime) -> Rows:
        """Return what came of these metrics from `start` to `end`, raw up to 10,000 rows."""
        return Past(await self._series(machine, metrics, start, end), ()).rows().of(metrics)

    async def _series(
        self, machine: str, metrics: tuple[str, ...], start: datetime, end: datetime
    ) -> tuple[_Series, ...]:
        query = {"start": start.isoformat(), "end": end.isoformat(), "points": str(WINDOW_POINTS)}
        series: list[_Series] = []
        for first in range(0, len(metrics), 5 * METRICS_AT_ONCE):
            asked = {**query, "metric": metrics[first : first + 5 * METRICS_AT_ONCE]}
            try:
                series += _read(await self._get(f"machines/{machine}/history", asked), _History).series
            except _UnknownError:
                break
        return tuple(series)

    async def raw(
        self, machine: str, metrics: tuple[str, ...], start: datetime, end: datetime, *, most_rows: int
    ) -> Rows:
        """Return every row of these metrics from `start` to before `end`, as it came.

        Raises TooManyRowsError where there are more than `most_rows`.
        """
        pieces: list[Past] = []
        begin, step, rows = start, end - start, 0
        while begin < end:
            until = min(end, begin + step)
            series = await self._series(machine, metrics, begin, until)
            if any(one.bucket_s for one in series):
                step = (until - begin) / 4
                continue
            pieces.append(Past(series, ()))
            rows += max((len(one.ts) for one in series), default=0)
            if rows > most_rows:
                text = (
                    f"from {start} there are more than {most_rows} rows up to {until}; ask for a shorter span"
                )
                raise TooManyRowsError(text)
            begin = until
        whole = tuple(one for piece in pieces for one in piece.series)
        return Past(whole, ()).rows().of(metrics)

    async def _get(self, path: str, query: Mapping[str, str | Sequence[str]]) -> bytes:
        try:
            answer = await self._http.get(path, params=dict(query))
        except httpx.HTTPError as error:
            msg = f"the gateway's API does not answer ({type(error).__name__}: {error})"
            raise NoHistoryError(msg) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise _UnknownError(f"GET {path}: there is no such thing")
        if answer.status_code != httpx.codes.OK:
            raise NoHistoryError(f"GET {path} was answered {answer.status_code}: {answer.text[:200]}")
        return answer.content


def _read(payload: bytes, kind: type[_Answer]) -> _Answer:
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.DecodeError as error:
        raise NoHistoryError(f"the gateway answered something else than expected: {error}") from error
