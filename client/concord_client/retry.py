"""When a call that found the server unavailable is tried again."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Retry:
    """Exponential backoff with jitter, inside the deadline of the call.

    Only `Unavailable` is retried: every other error would be the same the next time, or the work may not be worth
    doing twice. What the server has lost is asked again until the deadline, where anything is retried. The nth wait
    is drawn evenly between half of and the whole of ``first_delay * 2 ** (n - 1)`` seconds, that being at most
    ``longest_delay``; the jitter keeps clients that were refused together from coming back together.

    Args:
        attempts: calls in all, the first included; 1 never retries.
        uniform: draws a float between two bounds.
    """

    attempts: int = 5
    first_delay: float = 0.1
    longest_delay: float = 2.0
    longest_delay_of_lost: float = 0.5
    uniform: Callable[[float, float], float] = random.uniform

    def delay(self, failures: int, remaining: float, *, lost: bool = False) -> float | None:
        """Seconds to wait after that many failed calls, with ``remaining`` seconds to the deadline; None to give up."""
        if failures >= self.attempts and not (lost and self.attempts > 1):
            return None
        most = self.longest_delay_of_lost if lost else self.longest_delay
        # The exponent is bounded, because a float is.
        longest = min(self.first_delay * 2 ** min(failures - 1, 30), most)
        delay = self.uniform(longest / 2, longest)
        return delay if delay < remaining else None
