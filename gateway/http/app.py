"""The application: routes under /api/v1, the page beside them, and what guards both."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

from gateway.http import problems, routes_machines, routes_session, routes_system
from gateway.http.answers import describe
from gateway.http.context import Context

API: Final = "/api/v1"
STATIC: Final = Path(__file__).resolve().parents[1] / "static"
BODY_MOST: Final = 1024 * 1024
_DIGITS_MOST: Final = 16
log = structlog.get_logger()
Next = Callable[[Request], Awaitable[Response]]


def create_app(ctx: Context) -> FastAPI:
    """Return the application. The OpenAPI document is at /docs, the page at /."""
    app = FastAPI(
        title="EnMS Gateway",
        version=ctx.version,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # FastAPI's own page loads its scripts from elsewhere
        redoc_url=None,
    )
    app.state.context = ctx
    problems.install(app)
    for routes in (routes_system, routes_machines, routes_session):
        app.include_router(routes.router, prefix=API)
    describe(app)
    app.middleware("http")(_guard)
    if (STATIC / "index.html").exists():

        @app.get("/docs", include_in_schema=False)
        async def _() -> Response:
            return FileResponse(STATIC / "docs.html")

        # Not mounted at "/": a mount takes every path, also those of the API asked for in a wrong way.
        app.router.default = StaticFiles(directory=STATIC, html=True)
    else:

        @app.get("/", include_in_schema=False)
        async def _() -> Response:
            return Response("The page is not built; run: make setup", 503, media_type="text/plain")

    return app


async def _guard(request: Request, go_on: Next) -> Response:
    if request.method in {"POST", "PUT", "PATCH"} and not _acceptable(request):
        return problems.problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {BODY_MOST} bytes, and a Content-Length"
        )
    try:
        response = await go_on(request)
    except Exception:
        log.exception("a request failed", path=request.url.path)
        text = "this is a fault of the gateway; its log says more"
        response = problems.problem(HTTPStatus.INTERNAL_SERVER_ERROR, text)
    path = request.url.path
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Frame-Options"] = "DENY"
    if path.startswith("/api/"):
        response.headers["Cache-Control"] = "no-store"
    else:
        # Built files carry a hash of their content in their names; the page that names them does not.
        hashed = path.startswith("/assets/")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        response.headers["Content-Security-Policy"] = _policy(request)
    return response


def _acceptable(request: Request) -> bool:
    """Whether the body's length is told and within bounds; one that comes in chunks has no end to see."""
    length = request.headers.get("Content-Length", "0")
    return (
        "Transfer-Encoding" not in request.headers
        and length.isdecimal()
        and len(length) < _DIGITS_MOST
        and int(length) <= BODY_MOST
    )


def _policy(request: Request) -> str:
    ctx: Context = request.app.state.context
    socket = routes_system.mqtt_url(ctx, request).rsplit("/", 1)[0]
    return (
        "default-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' {socket}; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'"
    )
