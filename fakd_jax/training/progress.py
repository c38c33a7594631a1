"""The progress of an epoch: its bar, its speed, and whether its losses are finite."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from typing import Any

import jax

from fakd_jax.errors import NotFiniteError
from fakd_jax.runtime.async_dispatch import wait_until_done
from fakd_jax.runtime.distributed import is_writer


def progress_bar(*, total: int, description: str, initial: int = 0) -> Any:
    """A bar that counts images and shows images/s and the time left.

    If standard error is not a terminal, it prints a line every half minute. Of several processes,
    process 0 alone shows it.
    """
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=initial,
        desc=description,
        unit=" images",
        mininterval=0.2 if sys.stderr.isatty() else 30.0,
        dynamic_ncols=True,
        leave=False,
        disable=not is_writer(),
    )


class EpochProgress:
    """Follows the training steps of one epoch, of which some may still be in flight.

    Args:
      description: of the bar, e.g. "student 2/15".
      batch_size: images per step.
      num_steps: steps in the epoch.
      steps_done: of these, the steps that an interrupted run has taken.
    """

    def __init__(
        self, description: str, *, batch_size: int, num_steps: int, steps_done: int
    ) -> None:
        self._description = description
        self._batch_size = batch_size
        self._bar = progress_bar(
            total=num_steps * batch_size,
            initial=steps_done * batch_size,
            description=description,
        )
        self._in_flight: deque[tuple[int, jax.Array]] = deque()
        self._is_only_step = num_steps - steps_done == 1
        self._timed_steps = -1  # the first step compiles: it does not count
        self._started = time.monotonic()

    def add(self, step: int, loss: jax.Array) -> None:
        """Takes the loss of the step that was just sent to the device."""
        self._in_flight.append((step, loss))
        self._timed_steps += 1
        if self._timed_steps == 0 and not self._is_only_step:
            self.wait()
            self._started = time.monotonic()

    def wait(self, leave: int = 0) -> None:
        """Waits until at most `leave` steps are in flight.

        Raises:
          NotFiniteError: a loss is not finite.
        """
        while len(self._in_flight) > leave:
            step, loss = self._in_flight.popleft()
            wait_until_done(loss)
            if not math.isfinite(float(loss)):
                raise NotFiniteError(
                    f"{self._description}: the loss or its gradient is not finite at step {step}; "
                    "lower config.optimizer.learning_rate (the last checkpoint is kept)"
                )
            self._bar.set_postfix(loss=f"{float(loss):.3f}", refresh=False)
            self._bar.update(self._batch_size)

    def speed(self) -> dict[str, float]:
        """Returns "images_per_second" and "seconds", without the first step unless it is alone."""
        seconds = time.monotonic() - self._started
        images = max(self._timed_steps, 1) * self._batch_size
        return {"images_per_second": images / seconds, "seconds": seconds}

    def close(self) -> None:
        """Removes the bar."""
        self._bar.close()
