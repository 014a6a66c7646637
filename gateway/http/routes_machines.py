"""Machines, their history, their anomalies."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from gateway import history as past
from gateway.http.answers import answer, answers
from gateway.http.context import Asker, Ctx
from gateway.http.problems import ProblemError
from gateway.http.shapes import AnomalyList, MachineList, MachineState

router = APIRouter(tags=["machines"])
Name = Annotated[str, Path(description="The machine's topic name.", max_length=64)]
When = Annotated[datetime | None, Query(description="RFC 3339 with a zone, such as 2026-01-31T16:10:00Z.")]


@router.get("/machines", responses=answers(MachineList))
async def machines(ctx: Ctx, _: Asker) -> Response:
    """List the machines."""
    found = [ctx.roster.machine(name) for name in ctx.roster.names()]
    return answer(MachineList(machines=[one for one in found if one is not None]))


@router.get("/machines/{machine}", responses=answers(MachineState))
async def machine(ctx: Ctx, _: Asker, machine: Name) -> Response:
    """Tell what is known of a machine now."""
    found = ctx.roster.state_of(machine, datetime.now(UTC))
    if found is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no machine {machine!r}; GET machines lists them")
    return answer(MachineState(machine=found[0], latest=found[1], health=found[2]))


@router.get("/machines/{machine}/history", responses=answers(past.History))
async def history(
    ctx: Ctx,
    _: Asker,
    machine: Name,
    metric: Annotated[list[str] | None, Query(max_length=50)] = None,
    start: When = None,
    end: When = None,
    points: Annotated[int, Query(ge=1, le=50_000)] = 1000,
) -> Response:
    """Give readings over time: raw where they are no more than `points`, else min, mean and max a bucket."""
    asked = past.HistoryQuery.of(
        machine, datetime.now(UTC), metrics=metric or [], start=aware(start), end=aware(end), points=points
    )
    return answer(await past.history(ctx.store, asked))


@router.get("/anomalies", responses=answers(AnomalyList))
async def anomalies(
    ctx: Ctx,
    _: Asker,
    machine: Annotated[str | None, Query(max_length=64)] = None,
    start: When = None,
    end: When = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """List episodes by their last event, newest first; `start` and `end` narrow when they were active."""
    found = await ctx.store.anomalies(machine=machine, start=aware(start), end=aware(end), limit=limit)
    return answer(AnomalyList(anomalies=found))


def aware(when: datetime | None) -> datetime | None:
    """Return the time in UTC. Raises ProblemError (422) where it has no zone or leaves the calendar."""
    if when is None:
        return None
    if when.tzinfo is None:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "a time needs a zone: end it with Z or an offset")
    try:
        return when.astimezone(UTC)
    except OverflowError:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "the time lies outside the calendar") from None
