"""When a failed request is made again, and after which pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from muse.errors import MuseError

T = TypeVar("T")
RETRY_AFTER = "retry_after_s"
"""Key in an error's details: how long the other side asks to wait."""


class Retry:
    """Exponential back-off with full jitter, bounded in number; a pause that the other side asks for is kept.

    Only errors that say of themselves that a retry can help are retried. `attempts` counts the first one.
    `random` gives numbers in [0, 1); `sleep` waits for seconds.
    """

    def __init__(
        self,
        attempts: int = 5,
        base_s: float = 0.25,
        cap_s: float = 15.0,
        longest_asked_s: float = 120.0,
        random: Callable[[], float] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.attempts = attempts
        self._base_s = base_s
        self._cap_s = cap_s
        self._longest_asked_s = longest_asked_s
        self._random = random
        self._sleep = sleep

    def run(self, work: Callable[[int], T]) -> T:
        """Return `work(attempt)`, attempt from 0; raises its last error."""
        attempt = 0
        while True:
            try:
                return work(attempt)
            except MuseError as error:
                attempt += 1
                if not self.wait(attempt, error):
                    raise

    def wait(self, failures: int, error: MuseError) -> bool:
        """Pause after the `failures`-th failure in a row; False, at once, when there is no sense in another
        attempt.
        """
        if not error.retry or failures >= self.attempts:
            return False
        pause = self._pause_s(failures, error)
        if pause is None:
            return False
        self._sleep(pause)
        return True

    def _pause_s(self, attempt: int, error: MuseError) -> float | None:
        asked = error.details.get(RETRY_AFTER)
        if isinstance(asked, (int, float)):
            return float(asked) if asked <= self._longest_asked_s else None
        if self._random is None:
            import random

            self._random = random.random
        return float(min(self._cap_s, self._base_s * 2 ** (attempt - 1)) * (0.5 + self._random() / 2))
