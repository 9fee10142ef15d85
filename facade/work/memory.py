"""What all requests together keep in memory: bodies that came, and answers until they are sent."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facade.problems import Problem

_OF_BODIES, _OF_ALL = 3, 2
"""The part of what others leave that bodies of one holder may take, and bodies and answers: one of so many."""


class Memory:
    """Counts what is held, within bounds: at most so many bytes in all, and for each holder of a key its share.

    A share is half of what the others leave, so that there is always some for one more; with one holder it is all.
    Bodies may take two thirds of it, so that there is room for their answers: bodies are refused where they are too
    much, but answers wait, and one is always given room.

    Attributes:
        most: bytes in all.
        held: bytes that are held now.
        has_several: whether there are several holders.
        freed: is called when some is free again.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self.has_several: Callable[[], bool] = lambda: False
        self.freed: Callable[[], object] = lambda: None
        self._of_holder: Counter[str] = Counter()
        self._rooms = 0

    def hold(self, holder: str, count: int) -> None:
        """Counts bytes that have come; raises a `Problem` where more is held now than may be."""
        self._count(holder, count)
        if self.held > self.most:
            words = "the requests that are being answered hold as much memory as they may"
            raise Problem("too_busy", words, allowed=f"{self.most} bytes in all requests together")
        if self._is_beyond_share(holder, 0, _OF_BODIES):
            words = "the requests of this key that are being answered hold as much memory as they may"
            raise Problem("too_busy", words, allowed=f"a third of what others leave of {self.most} bytes")

    def release(self, holder: str, count: int) -> None:
        """Counts them as gone."""
        self._count(holder, -count)
        self.freed()

    @contextmanager
    def kept(self, holder: str, count: int) -> Iterator[None]:
        """Counts bytes as held for as long as the block runs; raises as `hold`."""
        try:
            self.hold(holder, count)
            yield
        finally:
            self.release(holder, count)

    @contextmanager
    def counted(self, holder: str, count: int) -> Iterator[None]:
        """The same for bytes that are there whatever else is held."""
        self._count(holder, count)
        try:
            yield
        finally:
            self.release(holder, count)

    @contextmanager
    def room(self, holder: str) -> Iterator["Room"]:
        """Room for an answer, none at first, for as long as the block runs."""
        room = Room(self, holder)
        try:
            yield room
        finally:
            room.resize(0)

    def has_room(self, holder: str, count: int) -> bool:
        """Whether an answer, or more of it, can be held."""
        is_too_much = self.held + count > self.most or self._is_beyond_share(holder, count, _OF_ALL)
        return not (self._rooms and is_too_much)

    def resize(self, holder: str, before: int, after: int) -> None:
        """Counts an answer that has another size now."""
        self._count(holder, after - before)
        self._rooms += (after > 0) - (before > 0)
        if after < before:
            self.freed()

    def _is_beyond_share(self, holder: str, count: int, part: int) -> bool:
        """Whether, with so many bytes more, a holder has more than this part of what the others leave."""
        others = self.held - self._of_holder[holder]
        return (self._of_holder[holder] + count) * part > self.most - others and self.has_several()

    def _count(self, holder: str, count: int) -> None:
        self.held += count
        self._of_holder[holder] += count


class Room:
    """What one answer takes of the memory, in bytes."""

    def __init__(self, memory: Memory, holder: str) -> None:
        self._memory, self._holder = memory, holder
        self.size = 0

    def grows_to(self, size: int) -> bool:
        """Whether it can be so large now; if so, it is, or was larger already."""
        if size > self.size:
            if not self._memory.has_room(self._holder, size - self.size):
                return False
            self.resize(size)
        return True

    def resize(self, size: int) -> None:
        """It is so large, whatever else is held."""
        before, self.size = self.size, size
        self._memory.resize(self._holder, before, size)
