"""Progress of a stress test: a bar of images, and a line per family."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Self

from fakd_jax.metrics.predictions import Predictions
from fakd_jax.reporting.numbers import duration, percent
from fakd_jax.stress.conditions import Condition


class Progress:
    """A bar on standard error if that is a terminal, and a line for each family that is done.

    A context manager whose methods are the callbacks of
    :func:`fakd_jax.stress.predict.predict_conditions`.

    Args:
      conditions: to predict.
      images: of each.
      log: takes the lines.
    """

    def __init__(
        self, conditions: Sequence[Condition], images: int, log: Callable[[str], object]
    ) -> None:
        from tqdm import tqdm

        self._families = [condition.family for condition in conditions]
        self._images, self._log = images, log
        self._done = self._known = 0
        self._accuracies: list[float] = []
        # disable=None: no bar where standard error is not a terminal.
        total = len(conditions) * images
        self._bar = tqdm(total=total, unit=" images", leave=False, disable=None)
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def on_images(self, count: int) -> None:
        """Advances the bar."""
        self._bar.update(count)

    def on_condition(self, condition: Condition, predictions: Predictions, known: bool) -> None:
        """Prints the accuracies of a family once all its conditions are done."""
        self._done += 1
        self._known += known
        self._bar.update(self._done * self._images - self._bar.n)
        self._accuracies.append(float(1 - predictions.wrong.mean()))
        left = len(self._families) - self._done
        if left and self._families[self._done] == condition.family:
            return
        text = f"[{self._done}/{len(self._families)}] {condition.family}: "
        text += ", ".join(percent(accuracy, digits=1) for accuracy in self._accuracies)
        self._accuracies = []
        if left and (measured := self._done - self._known):
            seconds = (time.monotonic() - self._start) / measured * left
            text += f" (about {duration(seconds)} left)"
        self._log(text)
