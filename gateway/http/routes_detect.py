"""Back-tests: what the detector would have said of a stretch of history."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Response
from msgspec import Struct
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from broker.asking import NoAnswerError, RefusedError
from broker.messages import Anomaly
from gateway.http.answers import answer, answers
from gateway.http.context import Ctx, Engineer
from gateway.http.problems import ProblemError
from gateway.store import AuditEntry

router = APIRouter(tags=["anomalies"])
WITHIN_S: Final = 150.0
_STATUS: Final = {
    "bad_argument": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too_large": HTTPStatus.UNPROCESSABLE_ENTITY,
    "not_found": HTTPStatus.NOT_FOUND,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "expired": HTTPStatus.SERVICE_UNAVAILABLE,
}


class DetectOrder(BaseModel):
    """A machine and a span. Without more the models that served then are asked again.

    With `contamination` an isolation forest learns from the time before the span, with `use_baseline` a
    baseline of energy. `publish` sends what was found to `anomaly/<machine>`, under the ids of live scoring.
    """

    model_config = ConfigDict(extra="forbid")

    machine_id: Annotated[str, Field(min_length=1, max_length=64)]
    start: AwareDatetime
    end: AwareDatetime
    contamination: Annotated[float | None, Field(gt=0.0, le=0.5)] = None
    use_baseline: bool = False
    publish: bool = False


class ServedBy(Struct, kw_only=True, frozen=True):
    """A model, and from when on it scored."""

    kind: str
    version: str
    since: datetime


class Scores(Struct, kw_only=True, frozen=True):
    """The highest score of each stretch of rows; 1 is the threshold."""

    ts: list[datetime]
    score: list[float]


class DetectAnswer(Struct, kw_only=True, frozen=True):
    """What was found: the last event of each episode, and the scores, at most 2,000 of them."""

    machine: str
    start: datetime
    end: datetime
    models: list[ServedBy]
    rows: int
    rows_scored: int
    published: int
    episodes: list[Anomaly]
    scores: Scores


@router.post("/anomaly/detect", responses=answers(DetectAnswer))
async def detect(ctx: Ctx, asker: Engineer, order: DetectOrder) -> Response:
    """Score a span of history as it would be scored live; publishes only with `publish`."""
    args: dict[str, str | float | bool | None] = {
        "machine": order.machine_id,
        "start": order.start.astimezone(UTC).isoformat(),
        "end": order.end.astimezone(UTC).isoformat(),
        "use_baseline": order.use_baseline,
        "publish": order.publish,
    }
    if order.contamination is not None:
        args["contamination"] = order.contamination
    if order.publish:
        told = {name: str(value) for name, value in args.items()}
        await ctx.store.add_audit(AuditEntry(datetime.now(UTC), asker.name, "detect", order.machine_id, told))
    try:
        found = await ctx.orders.ask("detector", "detect", args, WITHIN_S)
    except RefusedError as error:
        status = _STATUS.get(error.code, HTTPStatus.BAD_GATEWAY)
        headers = {"Retry-After": "5"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
        raise ProblemError(status, str(error), headers) from error
    except NoAnswerError as error:
        raise ProblemError(HTTPStatus.GATEWAY_TIMEOUT, str(error)) from error
    return answer(msgspec.convert(found, DetectAnswer))
