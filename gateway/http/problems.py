"""Errors as RFC 9457 problem documents: what is wrong, and what to do about it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from broker.dynsec import BrokerAdminError
from gateway.accounts import AccountError, LoginRefusedError, TooManyLoginsError
from gateway.export.asked import ExportError, UnknownExportError
from gateway.history import HistoryError, UnknownHistoryError
from gateway.imports import BadImportError, BusyError
from gateway.store import BadValueError, StoreUnavailableError


class ProblemError(Exception):
    """An answer that is not the one asked for; `detail` says what to do."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, dict(headers or {}), media_type="application/problem+json")


# What each error of the houses behind the API means in HTTP.
_MEANINGS: Final[dict[type[Exception], tuple[HTTPStatus, dict[str, str]]]] = {
    StoreUnavailableError: (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"}),
    BrokerAdminError: (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"}),
    BadValueError: (HTTPStatus.UNPROCESSABLE_ENTITY, {}),
    UnknownHistoryError: (HTTPStatus.NOT_FOUND, {}),
    HistoryError: (HTTPStatus.UNPROCESSABLE_ENTITY, {}),
    UnknownExportError: (HTTPStatus.NOT_FOUND, {}),
    ExportError: (HTTPStatus.UNPROCESSABLE_ENTITY, {}),
    BadImportError: (HTTPStatus.UNPROCESSABLE_ENTITY, {}),
    BusyError: (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"}),
    LoginRefusedError: (HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"}),
    AccountError: (HTTPStatus.CONFLICT, {}),
}


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document."""

    async def of_ours(_: Request, error: Exception) -> JSONResponse:
        kind = next(one for one in type(error).__mro__ if one in _MEANINGS)
        status, headers = _MEANINGS[kind]
        return problem(status, str(error), headers)

    for kind in _MEANINGS:
        app.exception_handler(kind)(of_ours)

    @app.exception_handler(TooManyLoginsError)
    async def _(_: Request, error: TooManyLoginsError) -> JSONResponse:
        return problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), {"Retry-After": str(error.retry_after_s)})

    @app.exception_handler(ProblemError)
    async def _(_: Request, error: ProblemError) -> JSONResponse:
        return problem(error.status, error.detail, error.headers)

    @app.exception_handler(HTTPException)
    async def _(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, error: RequestValidationError) -> JSONResponse:
        words = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'][1:]) or one['loc'][0]}: {one['msg']}"
            for one in error.errors()
        )
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, words)
