"""Who is there: signing in with a name, or with a key where keys are asked for, and what comes before the work."""

import unicodedata
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from annotation.ledger import people
from annotation.ledger.tables import MOST_NAME, Annotator
from annotation.page.fields import Fields
from annotation.page.rendering import page
from annotation.page.workplace import Workplace, workplace_of
from facade.access.cookie import give, take, token_of
from facade.access.keys import hash_of
from facade.accounts.accounts import Accounts
from facade.accounts.roles import ADMINISTRATOR, Role
from facade.problems import Problem
from facade.wire.caller import address_of

COOKIE = "concord-annotator"
"""Of a visit without an account."""
ANNOTATING: tuple[Role, ...] = ("annotator", ADMINISTRATOR)
ENTER, LEAVE, GUIDE, QUALIFICATION, WORK = "/enter", "/leave", "/guide", "/qualification", "/sample"
_NAMES = f"1 to {MOST_NAME} letters, digits, blanks and . _ @ -"


class Elsewhere(Exception):
    """The visitor is to go to another page first."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def response(self) -> Response:
        """Leads there."""
        return RedirectResponse(self.path, HTTPStatus.SEE_OTHER)


async def annotator_of(request: Request) -> Annotator | None:
    """Who has signed in with this browser; whose key is not accepted any more has not."""
    workplace = workplace_of(request)
    if workplace.accounts is not None:
        annotator = await _of_account(workplace, workplace.accounts, token_of(request))
    else:
        annotator = await _of_visit(workplace, request.cookies.get(COOKIE, ""))
    if annotator is not None:
        request.state.annotator = annotator
    return annotator


async def _of_visit(workplace: Workplace, token: str) -> Annotator | None:
    if not token:
        return None
    async with workplace.store.reading() as session:
        found = await people.visitor(session, token)
    if found is None or (workplace.keys and workplace.keys.holder(found[1]) != found[0].name):
        return None
    return found[0]


async def _of_account(workplace: Workplace, accounts: Accounts, token: str) -> Annotator | None:
    """Only an account that is for annotating, or for everything, is somebody here."""
    holder = await accounts.entrance.by_session(token)
    if holder is None or accounts.entrance.holders[holder].role not in ANNOTATING:
        return None
    name = accounts.entrance.holders[holder].name
    async with workplace.store.reading() as session:
        found = await session.get(Annotator, name)
    if found is None:
        async with workplace.store.begin() as session:
            found = await people.known(session, name)
    return found


async def somebody(request: Request) -> Annotator:
    """Who has signed in.

    Raises:
        Elsewhere: nobody has, and a page was asked for.
        Problem: `unauthorized`: nobody has, and something was sent.
    """
    if (annotator := await annotator_of(request)) is not None:
        return annotator
    if request.method in ("GET", "HEAD"):
        raise Elsewhere(ENTER)
    raise Problem("unauthorized", "nobody has signed in", field="Cookie")


async def worker(request: Request) -> Annotator:
    """Who has signed in, knows the guide, and is qualified.

    Raises:
        Elsewhere: to what comes first.
        Problem: `unauthorized` or `forbidden`: the same where something was sent.
    """
    annotator = await somebody(request)
    missing = "" if annotator.guided else GUIDE
    if not missing and workplace_of(request).qualification is not None and not annotator.qualified:
        missing = QUALIFICATION
    if not missing:
        return annotator
    if request.method in ("GET", "HEAD"):
        raise Elsewhere(missing)
    raise Problem("forbidden", "the guide and the qualification come first", field="Cookie")


async def enter(request: Request) -> Response:
    """The form for a name or a key, and what was sent with it."""
    workplace = workplace_of(request)
    if workplace.accounts is not None:
        return await _enter_account(request, workplace.accounts)
    is_keyed = bool(workplace.keys)
    if request.method != "POST":
        return page(request, "enter.html", asks="key" if is_keyed else "name", trouble="")
    given = await Fields.of(request)
    key = hash_of(given.text("key").strip()) if is_keyed else ""
    name = workplace.keys.holder(key) if is_keyed else _name(given.text("name"))
    if name is None:
        return page(request, "enter.html", status=HTTPStatus.UNAUTHORIZED, asks="key", trouble="sign_in.refused")
    async with workplace.store.begin() as session:
        token = await people.enter(session, name, key)
    answer = RedirectResponse(WORK, HTTPStatus.SEE_OTHER)
    give(answer, token, request, workplace.settings, COOKIE, people.VISIT_SECONDS)
    return answer


async def _enter_account(request: Request, accounts: Accounts) -> Response:
    if request.method != "POST":
        return page(request, "enter.html", asks="account", trouble="")
    given = await Fields.of(request)
    try:
        token = await accounts.sessions.begin(given.text("name"), given.text("password"), address_of(request))
    except Problem as problem:
        if problem.code != "unauthorized":
            raise
        return page(request, "enter.html", status=HTTPStatus.UNAUTHORIZED, asks="account", trouble="sign_in.wrong")
    if await _of_account(workplace_of(request), accounts, token) is None:
        await accounts.sessions.end(token)
        raise Problem("forbidden", "this account may not annotate", allowed=f"the roles {' and '.join(ANNOTATING)}")
    answer = RedirectResponse(WORK, HTTPStatus.SEE_OTHER)
    give(answer, token, request, workplace_of(request).settings)
    return answer


async def leave(request: Request) -> Response:
    """Signs out."""
    if (accounts := workplace_of(request).accounts) is not None:
        await accounts.sessions.end(token_of(request))
        answer = RedirectResponse(ENTER, HTTPStatus.SEE_OTHER)
        take(answer)
        return answer
    async with workplace_of(request).store.begin() as session:
        await people.leave(session, request.cookies.get(COOKIE, ""))
    answer = RedirectResponse(ENTER, HTTPStatus.SEE_OTHER)
    take(answer, COOKIE)
    return answer


def _name(given: str) -> str:
    """A name as it is kept: the same for all ways of writing it in capitals or in wide letters."""
    name = " ".join(unicodedata.normalize("NFKC", given).casefold().split())
    usable = all(each.isalnum() or unicodedata.category(each)[0] == "M" or each in " ._@-" for each in name)
    if not (name and usable and len(name) <= MOST_NAME):
        raise Problem("invalid_text", f"{given[:MOST_NAME]!r} is no name", field="name", allowed=_NAMES)
    return name
