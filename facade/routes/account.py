"""``/v1/account``: what somebody does with the account of their own: register, sign in, password, keys, removal."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from facade.access.cookie import give, take, token_of
from facade.accounts.accounts import Accounts
from facade.accounts.entrance import Holder
from facade.accounts.tables import Key
from facade.openapi import responses
from facade.problems import Problem
from facade.wire.caller import address_of
from facade.wire.forms import Form, form_schema
from facade.wire.json_object import MEDIA_TYPE

router = APIRouter(prefix="/v1/account", tags=["account"])
OF_ACCOUNTS = ("unauthorized", "forbidden", "rate_limited", "unavailable", "no_room", "internal")
OF_BODIES = (
    *("missing_field", "unexpected_field", "invalid_setting", "malformed_body", "unsupported_media_type"),
    *("request_timeout", "request_too_large", "too_busy", "cancelled"),
)
Password = Annotated[str, Field(description="see docs/accounts.md for what is allowed")]


class Entry(BaseModel):
    """A name and its password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="of the account", examples=["ann"])
    password: Password


class Registration(Entry):
    """A new account."""

    invitation: str = Field("", description="the code of an invitation, where one is needed")


class Confirmation(BaseModel):
    """The password, once more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password: Password


class NewPassword(Confirmation):
    """Another password, and the one that it replaces."""

    new: Password


class KeyName(BaseModel):
    """What a key is called by its owner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="of the key", examples=["laptop"])


class AccountKey(BaseModel):
    """A key of an account."""

    id: int
    name: str
    created: int = Field(description="Unix seconds")


class NewKey(AccountKey):
    """A key that was just made."""

    key: str = Field(description="the key itself; it is shown only now")


class KeyList(BaseModel):
    """The keys of an account."""

    data: list[AccountKey]


class Limits(BaseModel):
    """What an account may do, see the settings of these names."""

    rate: str
    pictures: int = Field(description="on a day of UTC")
    max_bytes: int
    max_pixels: int
    max_text_bytes: int
    models: list[str] = Field(description="that may be asked; empty for all")
    manage: bool = Field(description="whether models may be loaded and unloaded")


class Me(BaseModel):
    """Who has signed in."""

    name: str
    role: str
    limits: Limits
    pictures_today: int


SCHEMAS = (AccountKey, NewKey, KeyList, Limits, Me)


def accounts_of(request: Request) -> Accounts:
    found: Accounts = request.app.state.accounts
    return found


def holder_of(request: Request) -> Holder:
    """Whose account a request comes with.

    Raises:
        Problem: it comes with a key of the settings, which belongs to no account.
    """
    found = accounts_of(request).entrance.holders.get(request.state.key)
    if found is None:
        raise Problem("forbidden", "this key belongs to no account", field="Authorization", allowed="an account")
    return found


def body_of(form: type[BaseModel]) -> dict[str, object]:
    """OpenAPI's description of a JSON body."""
    return form_schema(form, MEDIA_TYPE)


async def read(request: Request, form: type[Form]) -> Form:
    """The JSON body of a request."""
    async with request.app.state.uploads.json(request, form, ()) as given:
        taken: Form = given
        return taken


@router.post(
    "/register",
    summary="Register",
    status_code=201,
    responses=responses(*OF_ACCOUNTS, *OF_BODIES, "invalid_name", "weak_password", "name_taken"),
    openapi_extra=body_of(Registration),
)
async def register(request: Request, response: Response) -> Me:
    """Makes an account and signs in: the answer has the cookie."""
    given, accounts = await read(request, Registration), accounts_of(request)
    _, token = await accounts.register(given.name, given.password, given.invitation, address_of(request))
    return await _entered(request, response, token)


@router.post(
    "/sign-in",
    summary="Sign in",
    responses=responses(*OF_ACCOUNTS, *OF_BODIES),
    openapi_extra=body_of(Entry),
)
async def sign_in(request: Request, response: Response) -> Me:
    """The answer has the cookie, which counts as a key does. Programs should use a key."""
    given = await read(request, Entry)
    token = await accounts_of(request).sessions.begin(given.name, given.password, address_of(request))
    return await _entered(request, response, token)


@router.post(
    "/sign-out", summary="Sign out", status_code=204, response_class=Response, responses=responses(*OF_ACCOUNTS)
)
async def sign_out(request: Request, everywhere: bool = False) -> Response:
    """Of this browser, or of all with `everywhere=true`."""
    sessions = accounts_of(request).sessions
    await (sessions.end_all(holder_of(request).id) if everywhere else sessions.end(token_of(request)))
    return _left()


@router.get("", summary="Who has signed in", responses=responses(*OF_ACCOUNTS))
async def me(request: Request) -> Me:
    """And what they may do."""
    return await _me(request, holder_of(request))


@router.put(
    "/password",
    summary="Change the password",
    status_code=204,
    response_class=Response,
    responses=responses(*OF_ACCOUNTS, *OF_BODIES, "weak_password"),
    openapi_extra=body_of(NewPassword),
)
async def change_password(request: Request) -> Response:
    """Every other browser is signed out; keys stay."""
    given, accounts, holder = await read(request, NewPassword), accounts_of(request), holder_of(request)
    await accounts.sessions.known(holder.name, given.password, address_of(request))
    await accounts.people.set_password(holder.id, given.new, keeps=token_of(request))
    return Response(status_code=204)


@router.post(
    "/delete",
    summary="Delete the account",
    status_code=204,
    response_class=Response,
    responses=responses(*OF_ACCOUNTS, *OF_BODIES, "unknown_account"),
    openapi_extra=body_of(Confirmation),
)
async def delete(request: Request) -> Response:
    """With everything of it; its keys are refused from then on."""
    given, accounts, holder = await read(request, Confirmation), accounts_of(request), holder_of(request)
    await accounts.sessions.known(holder.name, given.password, address_of(request))
    await accounts.people.remove(holder.id)
    return _left()


@router.get("/keys", summary="The keys of the account", responses=responses(*OF_ACCOUNTS))
async def keys(request: Request) -> KeyList:
    """Their names; the keys themselves are kept nowhere."""
    found = await accounts_of(request).keys.of(holder_of(request).id)
    return KeyList(data=[_shown(each) for each in found])


@router.post(
    "/keys",
    summary="Make a key",
    status_code=201,
    responses=responses(*OF_ACCOUNTS, *OF_BODIES, "invalid_name", "name_taken"),
    openapi_extra=body_of(KeyName),
)
async def make_key(request: Request) -> NewKey:
    """It may do what the account may."""
    given = await read(request, KeyName)
    row, key = await accounts_of(request).keys.make(holder_of(request).id, given.name)
    return NewKey(**_shown(row).model_dump(), key=key)


@router.delete(
    "/keys/{key}",
    summary="Revoke a key",
    status_code=204,
    response_class=Response,
    responses=responses(*OF_ACCOUNTS, "not_found"),
)
async def revoke_key(request: Request, key: int) -> Response:
    """It is refused from the next request on."""
    await accounts_of(request).keys.revoke(holder_of(request).id, key)
    return Response(status_code=204)


async def _entered(request: Request, response: Response, token: str) -> Me:
    accounts = accounts_of(request)
    holder = await accounts.entrance.by_session(token)
    if holder is None:
        raise Problem("unauthorized", "the account is gone", field="name")
    give(response, token, request, request.app.state.service.settings)
    request.state.key = holder
    return await _me(request, accounts.entrance.holders[holder])


async def _me(request: Request, holder: Holder) -> Me:
    may = holder.allowance
    limits = Limits(
        rate=may.rate,
        pictures=may.pictures,
        max_bytes=may.max_bytes,
        max_pixels=may.max_pixels,
        max_text_bytes=may.max_text_bytes,
        models=list(may.models),
        manage=may.manage,
    )
    asked = await accounts_of(request).pictures.asked_today(holder.id)
    return Me(name=holder.name, role=holder.role, limits=limits, pictures_today=asked)


def _left() -> Response:
    answer = Response(status_code=204)
    take(answer)
    return answer


def _shown(key: Key) -> AccountKey:
    return AccountKey(id=key.id, name=key.name, created=key.created)
