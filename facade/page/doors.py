"""Ways into the page: with an API key, or with an account's name and password."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from facade.access.cookie import SESSION_SECONDS
from facade.access.keys import Keys, hash_of
from facade.problems import Problem

if TYPE_CHECKING:
    from facade.accounts.accounts import Accounts

SIGN_IN = "/sign-in"
REGISTER = "/register"


@dataclass(frozen=True)
class Field:
    """An input of a form: its name, the key of its label, and what a browser may fill in."""

    name: str
    label: str
    kind: str
    autocomplete: str


@dataclass(frozen=True)
class Form:
    """A form: the keys of its title and of its button, its inputs, and the path and the words of another one."""

    title: str
    button: str
    fields: tuple[Field, ...]
    other: tuple[str, str] | None = None


class Door(Protocol):
    """Lets browsers in."""

    @property
    def forms(self) -> Mapping[str, Form]:
        """By the paths at which they are."""

    async def holder(self, token: str) -> str | None:
        """Whose session it is of which the cookie says this; None for nobody's."""

    async def enter(self, path: str, given: Mapping[str, str], address: str) -> str:
        """What the cookie is to say after a form was sent from an address; raises a `Problem` where it is refused."""

    async def leave(self, token: str) -> None:
        """Ends a session."""

    def words(self, path: str, problem: Problem) -> str | None:
        """The key of a sentence for what was refused; None for the problem's own words."""


@dataclass
class KeyDoor:
    """For those who have a key.

    Sessions are forgotten when the program ends, and count for nothing as soon as their key is not accepted any more.

    Attributes:
        sessions: the hash of the key and the time of the end, by what the cookie says.
    """

    keys: Keys
    forms: Mapping[str, Form] = field(
        default_factory=lambda: {
            SIGN_IN: Form("sign_in.title", "sign_in", (Field("key", "sign_in.key", "password", "current-password"),))
        }
    )
    sessions: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def holder(self, token: str) -> str | None:
        hashed, expires = self.sessions.get(token, ("", 0.0))
        return self.keys.holder(hashed) if time.monotonic() < expires else None

    async def enter(self, path: str, given: Mapping[str, str], address: str) -> str:
        hashed = hash_of(given["key"].strip())
        if self.keys.holder(hashed) is None:
            raise Problem("unauthorized", "the key is not accepted", field="key")
        now = time.monotonic()
        self.sessions = {token: session for token, session in self.sessions.items() if now < session[1]}
        token = secrets.token_urlsafe(32)
        self.sessions[token] = (hashed, now + SESSION_SECONDS)
        return token

    async def leave(self, token: str) -> None:
        self.sessions.pop(token, None)

    def words(self, path: str, problem: Problem) -> str | None:
        return "sign_in.refused"


class AccountDoor:
    """For those who have an account, or may register."""

    def __init__(self, accounts: "Accounts") -> None:
        self._accounts = accounts
        name = Field("name", "sign_in.name", "text", "username")
        sign_in = (name, Field("password", "sign_in.password", "password", "current-password"))
        register: tuple[Field, ...] = (name, Field("password", "sign_in.password", "password", "new-password"))
        if accounts.registration == "invitation":
            register += (Field("invitation", "register.invitation", "text", "one-time-code"),)
        opens = accounts.registration != "closed"
        to_register, to_sign_in = (REGISTER, "sign_in.to_register"), (SIGN_IN, "register.to_sign_in")
        self.forms = {SIGN_IN: Form("sign_in.title", "sign_in", sign_in, to_register if opens else None)}
        if opens:
            self.forms[REGISTER] = Form("register.title", "register", register, to_sign_in)

    async def holder(self, token: str) -> str | None:
        return await self._accounts.entrance.by_session(token)

    async def enter(self, path: str, given: Mapping[str, str], address: str) -> str:
        if path == SIGN_IN:
            return await self._accounts.sessions.begin(given["name"], given["password"], address)
        invitation = given.get("invitation", "")
        _, token = await self._accounts.register(given["name"], given["password"], invitation, address)
        return token

    async def leave(self, token: str) -> None:
        await self._accounts.sessions.end(token)

    def words(self, path: str, problem: Problem) -> str | None:
        return "sign_in.wrong" if problem.code == "unauthorized" else None
