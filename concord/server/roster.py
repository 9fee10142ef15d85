"""Which models a server is to have and has, and in which form its networks are served."""

import threading
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import psutil

from concord.errors import ServerFailure
from concord.server.choice import Choice, choose
from concord.server.declared import unexported
from concord.server.inventory import Inventory
from concord.variants import Variant


class Roster:
    """The models of one server. It is changed in one thread at a time and may be read in others.

    Attributes:
        profile: that the server was started with.
        unexported: models of the repositories that cannot be served.
        choice: the variants of that profile.
        inventory: what can be served.
        wanted: the public models that are to be there.
        placed: the variants that were chosen for networks since the start, which go before those of `choice`.
        loaded: names in Triton of the models that are loaded; one that is being unloaded is not.
        dismissed: processes of models that were unloaded, or loaded anew: they end when they have answered.
        changes: how often models have been loaded or unloaded.
    """

    def __init__(self, repositories: Sequence[Path], profile: str, first: Collection[str] | None) -> None:
        """`first` are the public models of the first start; None for all, and for models that belong to none."""
        self.profile = profile
        self._repositories, self._first = repositories, first
        self.unexported: set[str] = set()
        self.choice = Choice()
        self.inventory = Inventory()
        self.wanted: frozenset[str] | None = None
        self.placed: Mapping[str, Variant] = {}
        self.loaded: frozenset[str] = frozenset()
        self.dismissed: frozenset[psutil.Process] = frozenset()
        self.changes = 0
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @property
    def chosen(self) -> Mapping[str, Variant]:
        """The variants that are served instead of the defaults."""
        return {**self.choice.variants, **self.placed}

    def look(self) -> None:
        """Reads the repositories, in which networks may have been exported.

        Raises:
            ServerFailure: a declaration cannot be read, or no network has a form for the server's profile.
        """
        self.unexported = unexported(self._repositories)
        self.choice = choose(self._repositories, self.profile)
        self.inventory = Inventory.of(self._repositories, self.unexported)

    def begin(self) -> None:
        """What a server is to load that starts; raises ServerFailure as `look`, or for an unknown first model."""
        self.look()
        known = self.inventory.pipelines
        if self.wanted is None:
            for name in self._first or ():
                if name not in known:
                    raise ServerFailure("load", f"there is no model {name!r} that can be served", ", ".join(known))
            self.wanted = frozenset(known if self._first is None else self._first)
        names = set(self.inventory.behind(self.wanted))
        if self._first is None:
            names |= self.inventory.runs.keys() - self.inventory.behind(known)
        self.loaded, self.dismissed = frozenset(names), frozenset()
