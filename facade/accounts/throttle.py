"""How often a password may be tried, by where it comes from and by whose it is."""

from ipaddress import IPv6Address, ip_address

from facade.access.rates import Rates
from facade.problems import Problem

OF_ADDRESS = ("10/minute", "60/hour")
OF_NAME = ("300/hour",)
"""More than one address may: nobody keeps an owner out of an account from a single one."""
_SITE_BITS = 64


class Throttle:
    """Counts tries, right and wrong ones, before anything is looked up for them."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    async def count(self, address: str, name: str = "") -> None:
        """Counts a try from an address, for a name where there is one.

        Raises:
            Problem: there were too many; tells when the next may be made.
        """
        for rate in OF_ADDRESS:
            await self._count(f"sign-in/from/{site(address)}/{rate}", rate, "from this address")
        if name:
            for rate in OF_NAME:
                await self._count(f"sign-in/as/{name}/{rate}", rate, "for this name")

    async def _count(self, key: str, rate: str, whose: str) -> None:
        try:
            await self._rates.count(key, rate)
        except Problem as problem:
            words, wait = f"there were too many tries {whose}", problem.retry_after
            raise Problem("rate_limited", words, allowed=f"{rate} {whose}", retry_after=wait) from None


def site(address: str) -> str:
    """What one customer of a provider has: an address, or of IPv6 the network of it."""
    try:
        given = ip_address(address)
    except ValueError:
        return address[:_SITE_BITS]
    if isinstance(given, IPv6Address):
        return str(given.ipv4_mapped or IPv6Address(int(given) >> _SITE_BITS << _SITE_BITS))
    return str(given)
