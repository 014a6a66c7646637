"""The HTTP server as a task among the gateway's others."""

import contextlib
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI


class HttpServer(uvicorn.Server):
    """A server that leaves signals to the process that runs it: it stops when `should_exit` is set."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: the gateway flushes before it stops serving."""
        yield


def make_server(app: FastAPI, host: str, port: int) -> HttpServer:
    """Return a server for the application; `serve()` is the task."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
        limit_concurrency=500,
        server_header=False,
    )
    return HttpServer(config)
