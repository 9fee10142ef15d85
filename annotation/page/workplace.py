"""What the routes of the page share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from starlette.requests import Request

from annotation.ahead import Ahead
from annotation.iharmony4 import Sample
from annotation.ledger.turns import Places
from annotation.picture import Picture
from annotation.qualification import Qualification
from facade.access.keys import Keys
from facade.accounts.accounts import Accounts
from facade.problems import Problem
from facade.settings import Settings
from facade.store.store import Store

_PICTURES = 64


@dataclass(frozen=True)
class Shown:
    """A composite as a browser gets it: a JPEG, and the SVG path around its part, for its size in pixels."""

    jpeg: bytes
    outline: str
    width: int
    height: int


@dataclass
class Workplace:
    """One data set that is annotated.

    Attributes:
        qualification: what has to be passed first; None for nothing.
        accounts: of those who may annotate; None where a name or a key is enough.
    """

    settings: Settings
    store: Store
    dataset: Mapping[str, Sample]
    places: Places
    ahead: Ahead
    keys: Keys
    qualification: Qualification | None = None
    accounts: Accounts | None = None
    _pictures: Callable[[str], Shown] = field(init=False)

    def __post_init__(self) -> None:
        self._pictures = lru_cache(_PICTURES)(self._read)

    def picture(self, composite: str) -> Shown:
        """A composite of the data set; the last ones are kept.

        Raises:
            Problem: `not_found`: there is no such composite.
            ConcordError: it cannot be shown.
            OSError: a file of it cannot be read.
        """
        if composite not in self.dataset:
            raise Problem("not_found", "there is no such composite")
        return self._pictures(composite)

    def _read(self, composite: str) -> Shown:
        picture = Picture.read(self.dataset[composite])
        return Shown(picture.jpeg(), picture.path, picture.width, picture.height)


def workplace_of(request: Request) -> Workplace:
    """That of the application that a request came to."""
    found: Workplace = request.app.state.workplace
    return found
