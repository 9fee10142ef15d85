"""When a call that found the server unavailable is tried again."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Retry:
    """Exponential backoff with jitter, inside the deadline of the call.

    Only `Unavailable` is retried: every other error would be the same the next time, or the work may not be worth
    doing twice. What the server has lost is asked again until the deadline, where anything is retried. The nth wait
    is drawn evenly between half of and the whole of ``first_delay * 2 ** (n - 1)`` seconds, that being at most
    ``longest_delay``; the jitter keeps clients that were refused together from coming back together. Where the server
    says when to come back, the wait begins then.

    Args:
        attempts: calls in all, the first included; 1 never retries.
        uniform: draws a float between two bounds.
    """

    attempts: int = 5
    first_delay: float = 0.1
    longest_delay: float = 2.0
    longest_delay_of_lost: float = 0.5
    uniform: Callable[[float, float], float] = random.uniform

    def delay(
        self, failures: int, remaining: float, *, lost: bool = False, retry_after: float | None = None
    ) -> float | None:
        """Seconds to wait after that many failed calls, with ``remaining`` seconds to the deadline; None to give up.

        Args:
            retry_after: the least that the server said, in seconds.
        """
        if failures >= self.attempts and not (lost and self.attempts > 1):
            return None
        most = self.longest_delay_of_lost if lost else self.longest_delay
        # The exponent is bounded, because a float is.
        longest = min(self.first_delay * 2 ** min(failures - 1, 30), most)
        delay = self.uniform(longest / 2, longest) + (retry_after or 0.0)
        return delay if delay < remaining else None


def seconds_of(retry_after: str, date: str = "") -> float | None:
    """What a server says in ``Retry-After``, in seconds from now; None where it says nothing that can be read.

    Args:
        retry_after: seconds, or a date as HTTP writes it.
        date: when the server said so, in the same form (``Date``); by default this machine's clock tells.
    """
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after)
    until = _moment(retry_after)
    if until is None:
        return None
    return max(0.0, (until - (_moment(date) or datetime.now(UTC))).total_seconds())


def _moment(written: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(written)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)
