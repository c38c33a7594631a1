"""Occlusion (Zeiler & Fergus 2014): how far the probability falls when a window is replaced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Int

from fakd_jax.errors import UserError
from fakd_jax.explanation.result import Explainer, Explanation, Score, from_attribution
from fakd_jax.explanation.scene.scene import Scene, predict_masks
from fakd_jax.inference.network import Network


@dataclass(frozen=True)
class OcclusionExplainer(Explainer):
    """Occlusion by a square that slides over the image.

    Zeiler & Fergus paint the probability at the centre of each window, which is grey. Here a
    pixel's attribution is the mean, over the windows that cover it, of p(image) - p(image with the
    window replaced): positive where a pixel speaks for the class.

    Attributes:
      window: side of the window as a fraction of the image's, in (0, 1].
      stride: distance of neighbouring windows as a fraction of the window's side, in (0, 1].
    """

    name: ClassVar[str] = "occlusion"
    score: ClassVar[Score] = "probability"
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)

    window: float = 1 / 8
    stride: float = 1 / 2

    def __post_init__(self) -> None:
        for name, fraction in (("window", self.window), ("stride", self.stride)):
            if not 0 < fraction <= 1:
                raise UserError(f"{name} is {fraction}; it must be above 0 and at most 1")

    @property
    def num_predictions(self) -> int:
        """The whole image and one per window."""
        return 1 + self._windows_per_side**2

    @property
    def _windows_per_side(self) -> int:
        return 1 + _ceil((1 - self.window) / (self.window * self.stride))

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains one class's probability; the seed is not used."""
        windows = self.windows(scene.foreground)

        def masks(start: int, stop: int) -> Float32[np.ndarray, "n H W"]:
            opacity = np.ones((stop - start, *scene.foreground.shape), np.float32)
            for mask, number in zip(opacity, range(start, stop), strict=True):
                if number:  # number 0 is the whole image
                    mask[windows[number - 1]] = 0
            return opacity

        probabilities = predict_masks(network, scene, class_index, 1 + len(windows), masks)
        drops, covered = np.zeros(scene.foreground.shape), np.zeros(scene.foreground.shape)
        for window, probability in zip(windows, probabilities[1:], strict=True):
            drops[window] += probabilities[0] - probability
            covered[window] += 1
        # Every pixel of the foreground is covered.
        attribution = np.where(scene.foreground, drops / np.maximum(covered, 1), 0.0)
        return from_attribution(scene, class_index, attribution)

    def windows(self, foreground: Bool[np.ndarray, "H W"]) -> list[tuple[slice, slice]]:
        """The windows that contain foreground, row by row.

        They are spaced evenly, to whole pixels, from border to border, and cover the image.
        """
        height, width = foreground.shape
        places = product(self._places(height), self._places(width))
        return [(row, column) for row, column in places if foreground[row, column].any()]

    def _places(self, side: int) -> list[slice]:
        """The windows' extents along an axis of `side` pixels."""
        length = _ceil(self.window * side)
        steps = max(1, self._windows_per_side - 1)
        starts: Int[np.ndarray, " n"] = np.arange(self._windows_per_side) * (side - length) // steps
        return [slice(start, start + length) for start in np.unique(starts).tolist()]


def _ceil(value: float) -> int:
    """Rounds up, but not an integer that rounding has made a little larger."""
    return math.ceil(round(value, 9))
