"""Accounts themselves: they are registered, changed and removed."""

import secrets
from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from facade.access.caller import Allowance
from facade.access.keys import hash_of
from facade.access.pictures import today
from facade.accounts.hashing import Hashing
from facade.accounts.names import likeness, name_of
from facade.accounts.passwords import password_of
from facade.accounts.roles import ADMINISTRATOR, USER, Role
from facade.accounts.tables import Account, Invitation, Session, Usage
from facade.problems import Problem
from facade.settings import SettingsError
from facade.store.store import Store, changed
from facade.store.tables import now

INVITED_SECONDS = 7 * 86_400


class People:
    """All accounts."""

    def __init__(self, store: Store, hashing: Hashing, everyone: Allowance) -> None:
        self._store, self._hashing, self._everyone = store, hashing, everyone

    async def add(
        self, given: str, password: str, role: Role = USER, invitation: str | None = None, whose: str = ""
    ) -> Account:
        """A new account.

        Args:
            invitation: the code of one, which then gives the role; None where none is needed.
            whose: the address that asks.

        Raises:
            Problem: the name or the password is not usable, the name is taken or looks like another, or the invitation
                is not valid.
        """
        name = name_of(given)
        hashed = await self._hashing.made(password_of(password, name), whose)
        account = Account(name=name, likeness=likeness(name), password=hashed, role=role, created=now())
        try:
            async with self._store.begin() as session:
                if invitation is not None:
                    account.role = await self._accepted(session, invitation)
                session.add(account)
        except IntegrityError:
            words = "there is an account of this name, or of one that looks like it"
            raise Problem("name_taken", words, field="name") from None
        return account

    async def set_password(self, account: int, password: str, keeps: str = "") -> None:
        """Another password; every session ends, but the one whose cookie says `keeps`.

        Raises:
            Problem: the password is not usable, or the account is gone.
        """
        found = await self.named(account)
        hashed = await self._hashing.made(password_of(password, found.name))
        async with self._store.begin() as session:
            await session.execute(update(Account).where(Account.id == account).values(password=hashed))
            others = (Session.account_id == account, Session.hash != hash_of(keeps))
            await session.execute(delete(Session).where(*others))

    async def change(
        self, given: str, role: Role | None = None, blocked: bool | None = None, limits: str | None = None
    ) -> Account:
        """Another role, or other limits, for an account; what is None stays as it is.

        Raises:
            Problem: there is no such account, it is the last administrator's, or the limits are none.
        """
        try:
            self._everyone.limited((limits or "").split())
        except SettingsError as error:
            raise Problem("invalid_setting", str(error), field="limits") from None
        wanted = {"role": role, "blocked": blocked, "limits": limits}
        values = {name: value for name, value in wanted.items() if value is not None}
        async with self._store.begin() as session:
            account = await _locked(session, given)
            if account.role == ADMINISTRATOR and (blocked or role not in (None, ADMINISTRATOR)):
                await _require_another(session, account)
            for name, value in values.items():
                setattr(account, name, value)
        return account

    async def remove(self, given: str | int) -> str:
        """Removes an account and everything of it, by its name or number; gives its name.

        Raises:
            Problem: there is no such account, or it is the last administrator's.
        """
        async with self._store.begin() as session:
            account = await _locked(session, given)
            if account.role == ADMINISTRATOR:
                await _require_another(session, account)
            await session.execute(delete(Account).where(Account.id == account.id))
            return account.name

    async def named(self, given: str | int) -> Account:
        """An account, by its name or number.

        Raises:
            Problem: there is none.
        """
        async with self._store.reading() as session:
            return await _locked(session, given)

    async def all(self) -> Sequence[tuple[Account, int]]:
        """In the order of their names, with the pictures of today as the store has them."""
        asked = (Usage.account_id == Account.id) & (Usage.day == today())
        wanted = select(Account, func.coalesce(Usage.pictures, 0)).outerjoin(Usage, asked).order_by(Account.name)
        async with self._store.reading() as session:
            return [(account, pictures) for account, pictures in await session.execute(wanted)]

    async def invite(self, role: Role = USER) -> tuple[Invitation, str]:
        """A new invitation for one person, and its code, which is shown only now."""
        code, at = secrets.token_urlsafe(16), now()
        invitation = Invitation(hash=hash_of(code), role=role, created=at, expires=at + INVITED_SECONDS)
        async with self._store.begin() as session:
            await session.execute(delete(Invitation).where(Invitation.expires <= at))
            session.add(invitation)
        return invitation, code

    async def _accepted(self, session: AsyncSession, code: str) -> Role:
        """The role that an invitation gives, which is used up then."""
        of_code = (Invitation.hash == hash_of(code), Invitation.expires > now())
        role = (await session.scalars(select(Invitation.role).where(*of_code))).one_or_none()
        if role is None or not await changed(session, delete(Invitation).where(*of_code)):
            raise Problem(
                "forbidden", "the invitation is not valid", field="invitation", allowed="one that is not used"
            )
        return role


async def _locked(session: AsyncSession, given: str | int) -> Account:
    """An account, which nobody else changes until the transaction ends."""
    is_it = Account.id == given if isinstance(given, int) else Account.name == given.lower()
    account = (await session.scalars(select(Account).where(is_it).with_for_update())).one_or_none()
    if account is None:
        raise Problem("unknown_account", "there is no such account", field="name")
    return account


async def _require_another(session: AsyncSession, account: Account) -> None:
    others = (Account.role == ADMINISTRATOR, ~Account.blocked, Account.id != account.id)
    if not (await session.scalars(select(Account.id).where(*others).with_for_update())).all():
        raise Problem("forbidden", "it is the last administrator", allowed="to make another one first")
