"""Progress on the terminal: a bar, and a line for each image that is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from fakd_jax.explanation.report.figure import describe_fit, describe_reliability
from fakd_jax.explanation.result import Explanation
from fakd_jax.reporting.numbers import probability

Log = Callable[[str], object]


class _Bar:
    """A bar on standard error if that is a terminal, and lines above it."""

    def __init__(self, total: int, unit: str, log: Log | None) -> None:
        from tqdm import tqdm

        # disable=None: no bar where standard error is not a terminal.
        self._bar = tqdm(total=total, unit=unit, leave=False, disable=None)
        self._log = log or self._bar.write
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


class Progress(_Bar):
    """A bar of predictions, and a line per image with the time left.

    A context manager whose methods are the callbacks of
    :func:`fakd_jax.explanation.run.explain_images`.

    Args:
      images: to explain.
      predictions_per_image: the most that the network predicts for each.
      log: takes the lines; None prints them above the bar.
    """

    def __init__(self, images: int, predictions_per_image: int, log: Log | None = None) -> None:
        super().__init__(images * predictions_per_image, " predictions", log)
        self._images, self._per_image = images, predictions_per_image
        self._done = self._known = 0

    def on_predictions(self, count: int) -> None:
        """Advances the bar."""
        self._bar.update(count)

    def on_known(self, count: int) -> None:
        """Counts the images that were explained before."""
        self._done = self._known = count
        if count:
            self._bar.update(count * self._per_image)
            self._log(f"{count:,} of {self._images:,} images were explained before")

    def on_done(self, entry: Mapping[str, Any], explanation: Explanation) -> None:
        """Prints an image's decision, how reliable its explanation is, and the time left."""
        self._done += 1
        # An explanation that was stable early took fewer predictions than planned.
        self._bar.update(self._done * self._per_image - self._bar.n)
        truth = f", true class {entry['true_class']}" if entry["true_class"] is not None else ""
        parts = [
            f"{entry['prediction']} {probability(entry['probability'])}{truth}",
            describe_fit(explanation.fit),
            describe_reliability(explanation),
        ]
        left = self._images - self._done
        seconds = (time.monotonic() - self._start) / (self._done - self._known) * left
        self._log(
            f"[{self._done}/{self._images}] {entry['id']}: {', '.join(filter(None, parts))}"
            + (f" (about {seconds:.0f} s left)" if left else "")
        )


class CellProgress(_Bar):
    """A bar of cells, one per image and method, and a line per image.

    A context manager whose methods are the callbacks of
    :func:`fakd_jax.explanation.benchmark.run.run_benchmark`.

    Args:
      images: to explain.
      methods: number of methods and controls.
      log: takes the lines; None prints them above the bar.
    """

    def __init__(self, images: int, methods: int, log: Log | None = None) -> None:
        super().__init__(images * methods, " cells", log)
        self._images, self._methods = images, methods
        self._cells = self._known = self._predictions = 0

    def on_predictions(self, count: int) -> None:
        """Counts predictions, for their rate."""
        self._predictions += count

    def on_cell(self, id: str, method: str, known: bool) -> None:
        """Advances the bar, and prints a line when an image's last method is done."""
        self._cells += 1
        self._known += known
        self._bar.update(1)
        if self._cells % self._methods:
            return
        done, measured = self._cells // self._methods, self._cells - self._known
        seconds = time.monotonic() - self._start
        text = f"[{done}/{self._images}] {id}"
        if known:
            text += ": measured before"
        elif done < self._images:
            left = seconds / measured * (self._images * self._methods - self._cells)
            rate = self._predictions / seconds
            text += f" ({rate:,.0f} predictions/s, about {left / 60:.0f} min left)"
        self._log(text)
