"""What the routes need of the gateway, and who is asking."""

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Depends, Request

from broker.asking import Asking
from broker.roles import Role
from gateway.accounts import Accounts, Who
from gateway.http.problems import ProblemError
from gateway.registry import Registry
from gateway.rejects import Rejects
from gateway.roster import Roster
from gateway.status import GatewayStatus
from gateway.store import Store

COOKIE: Final = "enms_session"
CSRF_HEADER: Final = "X-EnMS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Handed to the application once.

    `orders` go to other services; `service_tokens` are the bearer tokens of our own processes by name.
    """

    store: Store
    accounts: Accounts
    registry: Registry
    roster: Roster
    rejects: Rejects
    orders: Asking
    status: GatewayStatus
    version: str
    root: str
    ws_port: int
    mqtt_ws_url: str
    service_tokens: dict[str, str]


def context(request: Request) -> Context:
    """Return the context the application was made with."""
    found: Context = request.app.state.context
    return found


Ctx = Annotated[Context, Depends(context)]


async def who(request: Request, ctx: Ctx) -> Who:
    """Return who is asking: a bearer token, or the cookie, which a writing request must not rely on alone.

    Raises LoginRefusedError (401), or ProblemError (403) when the header against forged requests is missing.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        for name, known in ctx.service_tokens.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                return Who(name, Role.ENGINEER if name == "cli" else Role.VIEWER)
        return await ctx.accounts.who(token)
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED, "log in first: POST /api/v1/session", {"WWW-Authenticate": "Bearer"}
        )
    if request.method not in {"GET", "HEAD"} and CSRF_HEADER not in request.headers:
        raise ProblemError(HTTPStatus.FORBIDDEN, f"a request with the cookie needs the header {CSRF_HEADER}")
    return await ctx.accounts.who(cookie)


Asker = Annotated[Who, Depends(who)]


def engineer(asker: Asker) -> Who:
    """Let engineers pass. Raises ProblemError (403)."""
    if asker.role is not Role.ENGINEER:
        raise ProblemError(HTTPStatus.FORBIDDEN, f"this needs the role {Role.ENGINEER}; you are {asker.role}")
    return asker


Engineer = Annotated[Who, Depends(engineer)]
