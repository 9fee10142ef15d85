"""The pages of one's own account and of its keys."""

from fastapi import FastAPI
from starlette.responses import Response

from facade.access.cookie import take as forget_cookie
from facade.access.cookie import token_of
from facade.page.account.paths import ACCOUNT, HARMONIZE, KEYS
from facade.page.account.site import Visit, back_to, show, take
from facade.page.messages import note
from facade.settings import MOST_PICTURES
from facade.wire.caller import address_of


def install(app: FastAPI) -> None:
    """Adds both pages and their forms."""
    show(app, ACCOUNT, _account)
    take(app, f"{ACCOUNT}/password", _change_password, _show_account)
    take(app, f"{ACCOUNT}/sign-out-everywhere", _sign_out_everywhere, _show_account)
    take(app, f"{ACCOUNT}/delete", _delete, _show_account)
    show(app, KEYS, _keys)
    take(app, f"{KEYS}/make", _make, _show_keys)
    take(app, f"{KEYS}/revoke", _revoke, _show_keys)


async def _account(visit: Visit) -> Response:
    return await _show_account(visit, "", 200)


async def _show_account(visit: Visit, said: str, status: int) -> Response:
    most = visit.holder.allowance.pictures
    asked = await visit.accounts.pictures.asked_today(visit.holder.id)
    shown_most = "∞" if most == MOST_PICTURES else str(most)
    return visit.page("account", status, said=said, holder=visit.holder, asked=asked, most=shown_most, path=ACCOUNT)


async def _change_password(visit: Visit) -> Response:
    await _confirm(visit)
    token = token_of(visit.request)
    await visit.accounts.people.set_password(visit.holder.id, visit.given.get("new", ""), keeps=token)
    return await _show_account(visit, note(visit.say("account.changed")), 200)


async def _sign_out_everywhere(visit: Visit) -> Response:
    await visit.accounts.sessions.end_all(visit.holder.id)
    return _left()


async def _delete(visit: Visit) -> Response:
    await _confirm(visit)
    await visit.accounts.people.remove(visit.holder.id)
    return _left()


async def _confirm(visit: Visit) -> None:
    """Raises a `Problem` where the password that was sent is not the account's."""
    given = visit.given.get("password", "")
    await visit.accounts.sessions.known(visit.holder.name, given, address_of(visit.request))


def _left() -> Response:
    answer = back_to(HARMONIZE)
    forget_cookie(answer)
    return answer


async def _keys(visit: Visit) -> Response:
    return await _show_keys(visit, "", 200)


async def _show_keys(visit: Visit, said: str, status: int, name: str = "", key: str = "") -> Response:
    keys = await visit.accounts.keys.of(visit.holder.id)
    return visit.page("keys", status, said=said, keys=keys, new_name=name, new_key=key, path=KEYS)


async def _make(visit: Visit) -> Response:
    row, key = await visit.accounts.keys.make(visit.holder.id, visit.given.get("name", ""))
    return await _show_keys(visit, "", 200, row.name, key)


async def _revoke(visit: Visit) -> Response:
    number = visit.given.get("key", "")
    await visit.accounts.keys.revoke(visit.holder.id, int(number) if number.isdecimal() else 0)
    return back_to(KEYS)
