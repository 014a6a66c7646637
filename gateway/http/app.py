"""The application: routes under /api/v1, the page beside them, and what guards both."""

from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

from gateway.http import (
    problems,
    routes_detect,
    routes_export,
    routes_import,
    routes_machines,
    routes_session,
    routes_system,
)
from gateway.http.answers import describe
from gateway.http.context import Context
from gateway.http.guard import Guard, SeverableApp
from gateway.imports import Importer

API: Final = "/api/v1"
STATIC: Final = Path(__file__).resolve().parents[1] / "static"


def create_app(ctx: Context) -> FastAPI:
    """Return the application. The OpenAPI document is at /docs, the page at /."""
    app = SeverableApp(
        title="EnMS Gateway",
        version=ctx.version,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # FastAPI's own page loads its scripts from elsewhere
        redoc_url=None,
    )
    app.state.context = ctx
    problems.install(app)
    app.state.exports = routes_export.Exports()
    app.state.importer = Importer(ctx.store, ctx.roster, ctx.rejects)
    for routes in (
        routes_system,
        routes_machines,
        routes_detect,
        routes_session,
        routes_export,
        routes_import,
    ):
        app.include_router(routes.router, prefix=API)
    describe(app)
    app.add_middleware(Guard, policy=_policy)
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


def _policy(request: Request) -> str:
    ctx: Context = request.app.state.context
    socket = routes_system.mqtt_url(ctx, request).rsplit("/", 1)[0]
    return (
        "default-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' {socket}; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'"
    )
