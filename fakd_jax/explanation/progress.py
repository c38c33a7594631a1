"""What the user sees while images are explained: a bar, and a line for each that is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from fakd_jax.explanation.report.figure import describe_fit, describe_stability
from fakd_jax.explanation.result import Explanation
from fakd_jax.reporting.numbers import probability


class _Bar:
    """A bar where there is a terminal, for the length of a `with` block, and lines above it."""

    def __init__(self, total: int, unit: str, log: Callable[[str], object] | None) -> None:
        from tqdm import tqdm

        # disable=None: no bar where standard error is no terminal.
        self._bar = tqdm(total=total, unit=unit, leave=False, disable=None)
        self._log = log or self._bar.write

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()


class Progress(_Bar):
    """A bar of predictions where there is a terminal, and a line with time left an image.

    Used in a `with` block, its methods as the callbacks of
    :func:`fakd_jax.explanation.run.explain_images`.

    Args:
      images: how many will be explained.
      predictions_per_image: how many images the network predicts for each, at most.
      log: takes the lines; None writes them to standard output, above the bar.
    """

    def __init__(
        self,
        images: int,
        predictions_per_image: int,
        log: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(images * predictions_per_image, " predictions", log)
        self._images, self._per_image, self._done = images, predictions_per_image, 0
        self._start = time.monotonic()

    def on_predictions(self, count: int) -> None:
        """Moves the bar."""
        self._bar.update(count)

    def on_done(self, entry: Mapping[str, Any], explanation: Explanation) -> None:
        """Tells what came out for one image, and how long the others will take."""
        self._done += 1
        # Fewer predictions than planned were enough where the explanation was stable early.
        self._bar.update(self._done * self._per_image - self._bar.n)
        truth = f", true class {entry['true_class']}" if entry["true_class"] is not None else ""
        left = self._images - self._done
        seconds = (time.monotonic() - self._start) / self._done * left
        self._log(
            f"[{self._done}/{self._images}] {entry['id']}: "
            + ", ".join(
                filter(
                    None,
                    [
                        f"{entry['prediction']} {probability(entry['probability'])}{truth}",
                        describe_fit(explanation.fit),
                        describe_stability(explanation),
                    ],
                )
            )
            + (f" (about {seconds:.0f} s left)" if left else "")
        )


class CellProgress(_Bar):
    """A bar of cells, an image and a method each, with a line an image.

    Used in a `with` block, its methods as the callbacks of
    :func:`fakd_jax.explanation.benchmark.run.run_benchmark`.

    Args:
      images: how many will be explained.
      methods: by how many methods and controls.
      log: takes the lines; None writes them to standard output, above the bar.
    """

    def __init__(
        self, images: int, methods: int, log: Callable[[str], object] | None = None
    ) -> None:
        super().__init__(images * methods, " cells", log)
        self._images, self._methods = images, methods
        self._cells = self._known = self._predictions = 0
        self._start = time.monotonic()

    def on_predictions(self, count: int) -> None:
        """Counts what the network has predicted, for its rate."""
        self._predictions += count

    def on_cell(self, id: str, method: str, known: bool) -> None:
        """Moves the bar, and tells of each image when its last method is done."""
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
