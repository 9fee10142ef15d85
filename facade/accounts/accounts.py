"""Everything of accounts that one facade has."""

from typing import Literal, Self

from facade.access.caller import Allowance
from facade.access.rates import Rates
from facade.accounts.entrance import Entrance
from facade.accounts.hashing import Hashing
from facade.accounts.keys import AccountKeys
from facade.accounts.people import People
from facade.accounts.sessions import Sessions
from facade.accounts.tables import Account
from facade.accounts.throttle import Throttle, site
from facade.accounts.usage import StoredPictures
from facade.problems import Problem
from facade.settings import Settings
from facade.store.store import MIGRATIONS, Store


class Accounts:
    """The accounts in the store of the settings, which is opened and closed with it.

    Attributes:
        registration: who may register.
    """

    def __init__(self, settings: Settings, rates: Rates) -> None:
        self.store = Store(settings.store_url, MIGRATIONS)
        everyone = Allowance.of(settings)
        self.registration: Literal["off", "closed", "invitation", "open"] = settings.accounts
        self._hashing, self._throttle = Hashing(), Throttle(rates)
        self.people = People(self.store, self._hashing, everyone)
        self.sessions = Sessions(self.store, self._hashing, self._throttle)
        self.keys = AccountKeys(self.store)
        self.entrance = Entrance(self.store, everyone)
        self.pictures = StoredPictures(self.store, self.entrance.numbers)

    async def register(self, name: str, password: str, invitation: str, address: str) -> tuple[Account, str]:
        """Makes an account for whoever asks from an address, and signs in.

        Returns:
            The account, and what the browser's cookie is to say.

        Raises:
            Problem: nobody may, there were too many tries, or as `People.add`.
        """
        if self.registration == "closed":
            raise Problem("forbidden", "nobody can register here", allowed="an account that an administrator has made")
        await self._throttle.count(address)
        code = invitation.strip() if self.registration == "invitation" else None
        account = await self.people.add(name, password, invitation=code, whose=site(address))
        async with self.store.begin() as session:
            return account, await self.sessions.opened(session, account)

    async def __aenter__(self) -> Self:
        """Raises a `StoreError` where the store cannot be opened, and `StoreAway` where it does not answer."""
        await self.store.__aenter__()
        return self

    async def __aexit__(self, *given: object) -> None:
        self._hashing.close()
        await self.pictures.close()
        await self.store.__aexit__(*given)
