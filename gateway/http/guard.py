"""What stands around every request: bodies within bounds, headers, faults that do not show their insides.

It speaks ASGI itself. The frameworks' own way to stand around a request ends an answer that breaks off in the
middle as if it were whole, and half an export would pass for all of it.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.problems import problem

BODY_MOST: Final = 1024 * 1024
SEVER: Final = "enms.sever"
_DIGITS_MOST: Final = 16
log = structlog.get_logger()


class AnswerCutError(Exception):
    """An answer cannot be finished; its reader sees the connection break off, and the log says why."""


class SeverableApp(FastAPI):
    """An application whose requests carry, in their scope, how to cut their connection at once: SEVER."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. What uvicorn hands in as `send` belongs to what has the connection."""
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if isinstance(transport, asyncio.Transport):
            scope[SEVER] = transport.abort
        await super().__call__(scope, receive, send)


def _nothing() -> None:
    """Stand in where a connection cannot be cut: in tests without a server."""


class Guard:
    """ASGI middleware. `policy` returns the content security policy of a page that is asked for."""

    def __init__(self, app: ASGIApp, policy: Callable[[Request], str]) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._add_headers(scope, MutableHeaders(scope=message))
            await send(message)

        app = self._app if _acceptable(scope) else _too_large()
        try:
            await app(scope, receive, with_headers)
        except AnswerCutError as cut:
            # Returning without an end of the answer makes the server close the connection, but it would wait
            # for ever to hand its last bytes to a reader who takes nothing.
            log.warning("an answer was cut off", path=scope["path"], why=str(cut))
            scope.get(SEVER, _nothing)()
        except Exception:
            log.exception("a request failed", path=scope["path"])
            if begun:
                raise
            text = "this is a fault of the gateway; its log says more"
            await problem(HTTPStatus.INTERNAL_SERVER_ERROR, text)(scope, receive, with_headers)

    def _add_headers(self, scope: Scope, headers: MutableHeaders) -> None:
        path: str = scope["path"]
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["X-Frame-Options"] = "DENY"
        if path.startswith("/api/"):
            headers["Cache-Control"] = "no-store"
        else:
            # Built files carry a hash of their content in their names; the page that names them does not.
            hashed = path.startswith("/assets/")
            headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
            headers["Content-Security-Policy"] = self._policy(Request(scope))


def _too_large() -> ASGIApp:
    text = f"a body has at most {BODY_MOST} bytes, and a Content-Length"
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)


def _acceptable(scope: Scope) -> bool:
    """Whether a body's length is told and within bounds; one that comes in chunks has no end to see."""
    if scope["method"] not in {"POST", "PUT", "PATCH"}:
        return True
    headers = Headers(scope=scope)
    length = headers.get("Content-Length", "0")
    return (
        "Transfer-Encoding" not in headers
        and length.isdecimal()
        and len(length) < _DIGITS_MOST
        and int(length) <= BODY_MOST
    )
