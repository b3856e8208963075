"""Tries a request again after a passing fault, with growing pauses, within a stated total time.

The n-th pause is a random share, between a half and all, of first_delay_s * 2**(n-1), at most longest_delay_s; when the
server names a time (Retry-After), it is that time and a little more, so that many callers do not come back at once. A
pause that would not end within total_timeout_s is not begun: the fault is raised, and says how often it was tried.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .faults import ModelError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """How long to wait, and for what, in seconds.

    total_timeout_s: for a call with all its tries and pauses; timeout_s: for a sign of life from the server.
    sleep, clock, now and chance stand for time.sleep, time.monotonic, time.time and random.random in tests.
    """

    total_timeout_s: float = 600.0
    timeout_s: float = 300.0
    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random

    def run(self, attempt: Callable[[float], Result]) -> Result:
        """Call attempt(deadline) until it succeeds; deadline is a time of `clock`.

        Raises the ModelError that is not transient, or the last transient one when time runs out.
        """
        end, tries = self.clock() + self.total_timeout_s, 0
        while True:
            tries += 1
            try:
                return attempt(end)
            except ModelError as error:
                if not error.transient:
                    raise
                fault = error
            pause = self.pause_s(tries, fault.retry_after_s)
            if self.clock() + pause >= end:  # outside the handler, so that the fault is raised without a context
                raise fault.named(f"{fault}; {self._gave_up(tries, fault.retry_after_s)}")
            self.sleep(pause)

    def pause_s(self, tries: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after so many tries.

        >>> Patience(chance=lambda: 1.0).pause_s(3)
        2.0
        """
        if retry_after_s is not None:
            return retry_after_s + self.first_delay_s * self.chance()
        return min(self.longest_delay_s, self.first_delay_s * 2 ** min(tries - 1, 30)) * (0.5 + 0.5 * self.chance())

    def _gave_up(self, tries: int, retry_after_s: float | None) -> str:
        times = "once" if tries == 1 else f"{tries} times"
        asked = f", and the server asks to wait {retry_after_s:.0f} s" if retry_after_s else ""
        return f"tried {times} within total_timeout_s={self.total_timeout_s:g}{asked}"
