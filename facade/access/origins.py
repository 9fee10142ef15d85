"""By which names the facade is reached, and whose pages may use it.

A web page of anybody, open in a browser on the facade's network, can send it requests: by a name of its own that leads
here, and then it can read the answers; or across sites, as forms are sent.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from facade.access.heads import HeadCheck
from facade.problems import Problem

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({"same-origin", "none"})
_NAMES = "localhost, an IP address, or an address of --origins (CONCORD_ORIGINS)"
_OWN_PAGES = "pages of this server, and of the addresses of --origins (CONCORD_ORIGINS)"


class Origins(HeadCheck):
    """ASGI middleware that refuses requests by another name than the facade's, and those of other sites' pages.

    Programs say nothing of an origin, and are answered.
    """

    def check(self, method: str, headers: Headers) -> None:
        host, origin = headers.get("host", "").lower(), headers.get("origin", "").lower()
        # Browsers always name the host; programs of HTTP/1.0 need not.
        if host and not self._is_name(_name(f"//{host}")):
            raise Problem("unknown_host", f"{host[:80]!r} is no name of this server", field="Host", allowed=_NAMES)
        if origin:
            if origin not in (f"http://{host}", f"https://{host}", *self.settings.origins):
                raise Problem("foreign_origin", "a page of another site asks", field="Origin", allowed=_OWN_PAGES)
        elif method not in _READING and headers.get("sec-fetch-site", "none") not in _OWN_SITE:
            raise Problem("foreign_origin", "a page of another site asks", field="Sec-Fetch-Site", allowed=_OWN_PAGES)

    def _is_name(self, name: str) -> bool:
        if name in ("localhost", self.settings.host.lower(), *map(_name, self.settings.origins)):
            return True
        try:
            # No page of another site has an address of this machine for its own.
            return bool(ip_address(name))
        except ValueError:
            return False


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
