"""Readings as files."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.export.asked import ExportQuery, Form, Width
from gateway.export.stream import choose, stream
from gateway.http.context import Asker, Ctx
from gateway.http.guard import AnswerCutError
from gateway.http.problems import ProblemError
from gateway.http.routes_machines import When, aware
from gateway.store import AuditEntry, StoreUnavailableError

MOST_AT_ONCE: Final = 2
RETRY_AFTER_S: Final = 10
STALLED_S: Final = 60.0
TYPES: Final = {Form.CSV: "text/csv; charset=utf-8", Form.PARQUET: "application/vnd.apache.parquet"}

router = APIRouter(tags=["export"])
_FILE: Final[dict[str, Any]] = {
    media.split(";")[0]: {"schema": {"type": "string", "format": "binary"}} for media in TYPES.values()
}


class Exports:
    """How many exports are under way; each costs a processor. `stalled_s` is how long a reader may rest."""

    def __init__(self, most: int = MOST_AT_ONCE, stalled_s: float = STALLED_S) -> None:
        self.most = most
        self.stalled_s = stalled_s
        self.running = 0

    def enter(self) -> None:
        """Begin one. Raises ProblemError (503) while there are as many as may be."""
        if self.running >= self.most:
            text = f"{self.running} exports are under way already; try again when one is done"
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, text, {"Retry-After": str(RETRY_AFTER_S)})
        self.running += 1

    def leave(self) -> None:
        """End one."""
        self.running -= 1


Names = Annotated[list[str] | None, Query(description="Again and again for several; all if not given.")]


def asked(
    machine: Names = None,
    metric: Names = None,
    start: When = None,
    end: When = None,
    form: Annotated[Form, Query(alias="format")] = Form.CSV,
    width: Annotated[Width, Query(description="Readings as they came, or what they come to in a span.")] = (
        Width.RAW
    ),
) -> ExportQuery:
    """Read the question. Raises ExportError, ProblemError (422)."""
    return ExportQuery.of(
        machines=machine or [],
        metrics=metric or [],
        start=aware(start),
        end=aware(end),
        form=form,
        width=width,
    )


@router.get("/export", responses={200: {"description": "The file", "content": _FILE}})
async def export(
    ctx: Ctx, asker: Asker, request: Request, what: Annotated[ExportQuery, Depends(asked)]
) -> Response:
    """Give readings as a file, streamed: all machines and metrics unless some are named."""
    series = await choose(ctx.store, what)
    exports: Exports = request.app.state.exports
    exports.enter()
    try:
        await ctx.store.add_audit(_entry(asker.name, what))
    except BaseException:
        exports.leave()
        raise
    return _File(stream(ctx.store, what, series), what, exports)


def _entry(actor: str, what: ExportQuery) -> AuditEntry:
    details = {
        "machines": " ".join(what.machines) or "all",
        "metrics": " ".join(what.metrics) or "all",
        "start": what.start.isoformat(),
        "end": what.end.isoformat(),
        "format": what.form.value,
        "width": what.width.value,
    }
    return AuditEntry(datetime.now(UTC), actor, "export", what.file_name, details)


class _File(StreamingResponse):
    """A file that ends whole or not at all; a reader who takes nothing for long is let go."""

    def __init__(self, body: AsyncGenerator[bytes], what: ExportQuery, exports: Exports) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{what.file_name}"'}
        super().__init__(body, headers=headers, media_type=TYPES[what.form])
        self._body = body
        self._exports = exports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._exports.leave()

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with aclosing(self._body) as pieces:
                async for piece in pieces:
                    await self._give(send, {"type": "http.response.body", "body": piece, "more_body": True})
        except StoreUnavailableError as error:
            raise AnswerCutError(str(error)) from error
        await self._give(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _give(self, send: Send, message: Any) -> None:
        try:
            async with asyncio.timeout(self._exports.stalled_s):
                await send(message)
        except TimeoutError as error:
            text = f"its reader took nothing for {self._exports.stalled_s:g} s"
            raise AnswerCutError(text) from error
