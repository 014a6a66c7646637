"""Log-in, the broker users of a page's tabs, and accounts."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from broker.roles import Role
from gateway.accounts import SESSION, MqttLogin
from gateway.http.answers import answer, answers
from gateway.http.context import COOKIE, Asker, Ctx, Engineer
from gateway.http.routes_system import mqtt_url
from gateway.http.shapes import (
    AccountAnswer,
    AccountList,
    LogIn,
    MqttAccess,
    NewAccount,
    Renew,
    Renewed,
    SessionAnswer,
)

router = APIRouter(tags=["session"])


@router.post("/session", responses=answers(SessionAnswer))
async def log_in(ctx: Ctx, request: Request, body: LogIn) -> Response:
    """Log in: an HTTP session, and a broker user for this tab."""
    address = request.client.host if request.client else "unknown"
    token, expires_at, who = await ctx.accounts.log_in(body.username, body.password, address)
    made = await ctx.accounts.open_mqtt(who)
    response = answer(
        SessionAnswer(
            username=who.name,
            role=str(who.role),
            expires_at=expires_at,
            mqtt=_access(ctx, request, made),
            access_token=token,
        )
    )
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(SESSION.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path=request.scope.get("root_path") or "/",
    )
    return response


@router.post("/session/mqtt", responses=answers(SessionAnswer))
async def open_mqtt(ctx: Ctx, request: Request, asker: Asker) -> Response:
    """Get a broker user for another tab of this session."""
    made = await ctx.accounts.open_mqtt(asker)
    access = _access(ctx, request, made)
    return answer(
        SessionAnswer(username=asker.name, role=str(asker.role), expires_at=made.expires_at, mqtt=access)
    )


@router.post("/session/renew", responses=answers(Renewed))
async def renew(ctx: Ctx, asker: Asker, body: Renew) -> Response:
    """Give a tab's broker user more minutes."""
    return answer(Renewed(expires_at=await ctx.accounts.renew_mqtt(asker, body.mqtt_username)))


@router.delete("/session", status_code=HTTPStatus.NO_CONTENT)
async def log_out(ctx: Ctx, request: Request, asker: Asker) -> Response:
    """End the session; its broker users are cut off at once."""
    await ctx.accounts.log_out(asker)
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    response.delete_cookie(COOKIE, path=request.scope.get("root_path") or "/")
    return response


@router.get("/users", responses=answers(AccountList))
async def users(ctx: Ctx, _: Engineer) -> Response:
    """List the accounts."""
    found = await ctx.accounts.all()
    rows = [AccountAnswer(name=one.name, role=one.role, created_at=one.created_at) for one in found]
    return answer(AccountList(users=rows))


@router.post("/users", status_code=HTTPStatus.CREATED, responses=answers(AccountAnswer, 201, "Created"))
async def add_user(ctx: Ctx, asker: Engineer, body: NewAccount) -> Response:
    """Make an account, or give an existing one a new password and role; the password is in the answer."""
    password = await ctx.accounts.add(body.name, Role(body.role), tuple(body.machines), by=asker.name)
    return answer(AccountAnswer(name=body.name, role=body.role, password=password), HTTPStatus.CREATED)


@router.delete("/users/{name}", status_code=HTTPStatus.NO_CONTENT)
async def remove_user(ctx: Ctx, asker: Engineer, name: str) -> Response:
    """Remove an account; whoever uses it is cut off at once."""
    await ctx.accounts.remove(name, by=asker.name)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _access(ctx: Ctx, request: Request, made: MqttLogin) -> MqttAccess:
    return MqttAccess(
        url=mqtt_url(ctx, request),
        username=made.username,
        password=made.password,
        expires_at=made.expires_at,
    )
