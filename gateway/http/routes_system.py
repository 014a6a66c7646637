"""Health, configuration, counters, what was refused."""

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.http.answers import answer, answers
from gateway.http.context import Asker, Ctx, Engineer
from gateway.http.shapes import ConfigAnswer, HealthAnswer, RejectedEntry, RejectedList
from gateway.metrics import exposition

router = APIRouter(tags=["system"])


@router.get("/health", responses=answers(HealthAnswer))
async def health(ctx: Ctx) -> Response:
    """Tell whether everything the gateway needs answers: 200 if so, 503 and what does not otherwise."""
    ok = ctx.status.ok
    body = HealthAnswer(
        status="ok" if ok else "degraded", version=ctx.version, dependencies=ctx.status.dependencies()
    )
    return answer(body, HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE)


@router.get("/config", responses=answers(ConfigAnswer))
async def config(ctx: Ctx, request: Request) -> Response:
    """Tell the page what it needs to connect."""
    return answer(ConfigAnswer(version=ctx.version, root=ctx.root, mqtt_url=mqtt_url(ctx, request)))


@router.get("/rejected", responses=answers(RejectedList))
async def rejected(ctx: Ctx, _: Engineer, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    """List what was refused, newest first."""
    rows = await ctx.store.rejected(limit=limit)
    entries = [RejectedEntry(source=row.source, rejected=row.record) for row in rows]
    return answer(RejectedList(rejected=entries, total=dict(ctx.rejects.total)))


@router.get("/metrics")
async def metrics(ctx: Ctx, _: Asker) -> Response:
    """Give the counters in Prometheus' text format."""
    return Response(exposition(ctx.status, ctx.rejects, ctx.accounts), media_type=CONTENT_TYPE_LATEST)


def mqtt_url(ctx: Ctx, request: Request) -> str:
    """Return the WebSocket address a browser reaches the broker at: the page's own host, unless set."""
    if ctx.mqtt_ws_url:
        return ctx.mqtt_ws_url
    scheme = "wss" if request.url.scheme == "https" else "ws"
    return f"{scheme}://{_asked_host(request)}:{ctx.ws_port}/mqtt"


def _asked_host(request: Request) -> str:
    """Return the host the page was asked under; it goes into a header, so only what a host can be passes."""
    host = re.fullmatch(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:\d*)?", request.headers.get("Host", ""))
    return host[1] if host else "localhost"
