"""Progress of a prediction: a bar of files, or lines where standard error is not a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from fakd_jax.prediction.rows import Tally
from fakd_jax.reporting.numbers import duration

LINE_SECONDS = 30.0


class Progress:
    """A context manager whose method is called whenever rows are done.

    Args:
      files: number of all files.
      done: of these, files whose rows were written before.
      rows: that were written before.
      log: takes the lines.
    """

    def __init__(self, files: int, done: int, rows: int, log: Callable[[str], object]) -> None:
        from tqdm import tqdm

        self._files, self._first, self._rows, self._log = files, done, rows, log
        # disable=None: no bar where standard error is not a terminal.
        self._bar = tqdm(total=files, initial=done, unit=" files", leave=False, disable=None)
        self._start = self._logged = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def on_rows(self, done: int, tally: Tally) -> None:
        """Advances.

        Args:
          done: files whose rows are all written.
          tally: of all rows.
        """
        now = time.monotonic()
        if not self._bar.disable:
            self._bar.set_postfix(errors=tally.errors, refresh=False)
            self._bar.update(done - self._bar.n)
        elif now - self._logged > LINE_SECONDS:
            self._logged = now
            self._log(self._line(done, tally, now - self._start))

    def _line(self, done: int, tally: Tally, seconds: float) -> str:
        text = f"[{done:,}/{self._files:,} files] {self.rate(tally, seconds)}"
        if done > self._first:
            left = seconds / (done - self._first) * (self._files - done)
            text += f", about {duration(left)} left"
        return f"{text}; {tally.errors:,} errors" if tally.errors else text

    def rate(self, tally: Tally, seconds: float | None = None) -> str:
        """Rows per second since the start."""
        seconds = time.monotonic() - self._start if seconds is None else seconds
        return f"{(tally.rows - self._rows) / max(seconds, 1e-9):,.0f} rows/s"
