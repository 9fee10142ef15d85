"""``/v1/accounts`` and ``/v1/invitations``: what administrators do with all accounts."""

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from facade.accounts.roles import USER, Role
from facade.accounts.tables import Account
from facade.openapi import responses
from facade.routes.account import OF_ACCOUNTS, OF_BODIES, accounts_of, body_of, holder_of, read

router = APIRouter(prefix="/v1", tags=["accounts"])


class PublicAccount(BaseModel):
    """An account, as administrators see it."""

    name: str
    role: Role
    blocked: bool
    limits: str = Field(description="its own limits, as in the file of keys", examples=["rate=10/minute pictures=100"])
    created: int = Field(description="Unix seconds")
    pictures_today: int


class AccountList(BaseModel):
    """All accounts, in the order of their names."""

    data: list[PublicAccount]


class Changes(BaseModel):
    """What is to be otherwise; what is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role | None = Field(None, description="what the account is for")
    blocked: bool | None = Field(None, description="whether nobody is let in with it, or its keys")
    limits: str | None = Field(None, description="words as in the file of keys; empty for everybody's limits")


class Wish(BaseModel):
    """An invitation that is wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role = Field(USER, description="that the account is to have")


class NewInvitation(BaseModel):
    """An invitation for one person."""

    code: str = Field(description="what the person needs to register; it is shown only now")
    role: Role
    expires: int = Field(description="Unix seconds")


SCHEMAS = (PublicAccount, AccountList, NewInvitation)


@router.get("/accounts", summary="All accounts", responses=responses(*OF_ACCOUNTS))
async def accounts(request: Request) -> AccountList:
    """With what they may do, and what they asked for today."""
    holder_of(request).require_administrator()
    pictures, everybody = accounts_of(request).pictures, await accounts_of(request).people.all()
    return AccountList(data=[_shown(each, pictures.asked_of(each.id, written)) for each, written in everybody])


@router.patch(
    "/accounts/{name}",
    summary="Change an account",
    responses=responses(*OF_ACCOUNTS, *OF_BODIES, "unknown_account"),
    openapi_extra=body_of(Changes),
)
async def change(request: Request, name: str) -> PublicAccount:
    """Its role, its limits, or whether it is blocked; counts from its next request on."""
    holder_of(request).require_administrator()
    given = await read(request, Changes)
    account = await accounts_of(request).people.change(name, given.role, given.blocked, given.limits)
    _note("account changed", request, account=account.name, **given.model_dump(exclude_none=True))
    return _shown(account, await accounts_of(request).pictures.asked_today(account.id))


@router.delete(
    "/accounts/{name}",
    summary="Delete an account",
    status_code=204,
    response_class=Response,
    responses=responses(*OF_ACCOUNTS, "unknown_account"),
)
async def remove(request: Request, name: str) -> Response:
    """With everything of it."""
    holder_of(request).require_administrator()
    removed = await accounts_of(request).people.remove(name)
    _note("account removed", request, account=removed)
    return Response(status_code=204)


@router.post(
    "/invitations",
    summary="Invite somebody",
    status_code=201,
    responses=responses(*OF_ACCOUNTS, *OF_BODIES),
    openapi_extra=body_of(Wish),
)
async def invite(request: Request) -> NewInvitation:
    """Lets one person register, where registration is by invitation."""
    holder_of(request).require_administrator()
    invitation, code = await accounts_of(request).people.invite((await read(request, Wish)).role)
    _note("somebody is invited", request, role=invitation.role)
    return NewInvitation(code=code, role=invitation.role, expires=invitation.expires)


def _note(done: str, request: Request, **words: object) -> None:
    """Writes into the log what an administrator did."""
    structlog.get_logger("facade.accounts").info(done, by=holder_of(request).name, **words)


def _shown(account: Account, pictures: int) -> PublicAccount:
    return PublicAccount(
        name=account.name,
        role=account.role,
        blocked=account.blocked,
        limits=account.limits,
        created=account.created,
        pictures_today=pictures,
    )
