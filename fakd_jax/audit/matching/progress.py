"""Lines about a long step, at most one every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from fakd_jax.reporting.numbers import count, duration

SECONDS = 10.0


class Progress:
    """Logs how much of a step is done and how long the rest may take.

    Args:
      log: receives the lines.
      done: what has happened to an image, such as "read".
      total: number of images.
    """

    def __init__(self, log: Callable[[str], object], done: str, total: int) -> None:
        self._log, self._done, self._total = log, done, total
        self._start = self._logged = time.monotonic()

    def __call__(self, number: int) -> None:
        """Reports that so many of the images are done."""
        now = time.monotonic()
        if now - self._logged > SECONDS:
            self._logged = now
            left = duration((now - self._start) * (self._total / number - 1))
            self._log(f"audit: {self._done} {count(number, self._total)}, about {left} left")
