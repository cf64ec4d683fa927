"""When and how often calls are repeated."""

import random
from dataclasses import dataclass

from ._error import PrismError


@dataclass(frozen=True)
class RetryPolicy:
    """How often a call that can be repeated is tried, and the pauses in between, in seconds."""

    attempts: int = 5
    """Maximum number of attempts, with the first one. 1: calls are not repeated."""
    min_pause: float = 0.1
    """The pause after the first attempt. It doubles with each attempt."""
    max_pause: float = 2.0
    """Maximum pause."""

    def pause(self, attempt: int, error: PrismError) -> float | None:
        """Returns the pause after an attempt (the first one is 1), or `None` if it was the last one. The pause is random, between half of it
        and all of it, so that clients do not come back at the same moment."""
        if attempt >= self.attempts:
            return None
        # Above 2^32, the maximum decides.
        doubled = self.min_pause * float(1 << min(attempt - 1, 32))
        pause = min(doubled, self.max_pause) * random.uniform(0.5, 1.0)
        return max(pause, min(error.retry_after or 0.0, self.max_pause))
