"""The API keys of accounts: rows of the store with the key's hash."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from facade.access.keys import hash_of
from facade.access.new_key import new_key
from facade.accounts.tables import Key
from facade.problems import Problem
from facade.store.store import Store, changed
from facade.store.tables import now

MOST = 20
LONGEST_NAME = 64


class AccountKeys:
    """The keys of all accounts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def make(self, account: int, name: str) -> tuple[Key, str]:
        """A new key, and its row; it is shown only now, and kept nowhere.

        Args:
            name: what its owner calls it.

        Raises:
            Problem: the name is not usable or there already, or the account has `MOST` keys.
        """
        name = name.strip()
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            allowed = f"1 to {LONGEST_NAME} printable characters"
            raise Problem("invalid_name", "this can be no name of a key", field="name", allowed=allowed)
        key = new_key()
        row = Key(account_id=account, name=name, hash=hash_of(key), created=now())
        try:
            async with self._store.begin() as session:
                count = select(func.count()).select_from(Key).where(Key.account_id == account)
                if (await session.scalars(count)).one() >= MOST:
                    raise Problem("forbidden", "the account has as many keys as it may", allowed=f"{MOST} keys")
                session.add(row)
        except IntegrityError:
            raise Problem("name_taken", "there is a key of this name", field="name") from None
        return row, key

    async def of(self, account: int) -> Sequence[Key]:
        """Those of an account, the oldest first."""
        async with self._store.reading() as session:
            return (await session.scalars(select(Key).where(Key.account_id == account).order_by(Key.id))).all()

    async def revoke(self, account: int, number: int) -> None:
        """Has a key refused from now on.

        Raises:
            Problem: the account has no such key.
        """
        async with self._store.begin() as session:
            if not await changed(session, delete(Key).where(Key.account_id == account, Key.id == number)):
                raise Problem("not_found", "the account has no such key", field="key")
