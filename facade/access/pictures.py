"""How many pictures a caller has asked for on a day."""

import time
from collections import Counter

from facade.problems import Problem

DAY_SECONDS = 86_400


class Pictures:
    """Counts the answers of models that each key's holder has asked for, on days of UTC."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._day = 0

    async def count(self, holder: str, most: int) -> None:
        """Counts one, of `most` a day.

        Raises:
            Problem: so many were asked for today; tells when the next day begins.
        """
        day = today()
        if day != self._day:
            self._day = day
            self._asked.clear()
        check(self._asked[holder], most)
        self._asked[holder] += 1


def today() -> int:
    """Days since 1970-01-01, in UTC."""
    return int(time.time()) // DAY_SECONDS


def check(asked: int, most: int) -> None:
    """Raises a `Problem` where nothing is left of a day's pictures."""
    if asked >= most:
        raise Problem(
            "rate_limited",
            "all pictures of this day were asked for",
            allowed=f"{most} a day",
            retry_after=DAY_SECONDS - int(time.time()) % DAY_SECONDS,
        )
