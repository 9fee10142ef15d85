"""When a call that found the server unavailable is tried again."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Retry:
    """Exponential backoff with jitter, inside the deadline of the call.

    Only `Unavailable` is retried: every other error would be the same the next time, or the work may not be worth
    doing twice. The nth wait is drawn evenly between half of and the whole of ``first_delay * 2 ** (n - 1)`` seconds,
    that being at most ``longest_delay``; the jitter keeps clients that were refused together from coming back together.

    Args:
        attempts: calls in all, the first included; 1 never retries.
        uniform: draws a float between two bounds.
    """

    attempts: int = 5
    first_delay: float = 0.1
    longest_delay: float = 2.0
    uniform: Callable[[float, float], float] = random.uniform

    def delay(self, failures: int, remaining: float) -> float | None:
        """Seconds to wait after that many failed calls, with ``remaining`` seconds to the deadline; None to give up."""
        if failures >= self.attempts:
            return None
        longest = min(self.first_delay * 2 ** (failures - 1), self.longest_delay)
        delay = self.uniform(longest / 2, longest)
        return delay if delay < remaining else None
