"""RISE (Petsiuk, Das & Saenko 2018): how the probability varies with random masks.

A mask is a coarse grid of fair coins, enlarged by bilinear interpolation and shifted at random. A
pixel matters if the class is more probable under masks that show it.

The paper weighs a pixel by the mean of p·M over masks, divided by the mean of M: a mean
probability, high everywhere if the network is certain of the class, and noisy for it. Here the
mean probability is subtracted first, as a control variate, which leaves the covariance of p and M.
Divided by the variance of M it is the slope of the probability in the pixel's opacity, positive
where the pixel and its surroundings speak for the class. Both rank pixels alike in the limit of
many masks; this needs fewer, and has a sign and a zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.resampling import (
    MIN_SAMPLES,
    SampledExplainer,
    resampled_sampling,
)
from fakd_jax.explanation.result import Explanation, Score, from_attribution
from fakd_jax.explanation.scene.scene import Scene, mean_by_superpixel, predict_masks
from fakd_jax.inference.network import Network

MEAN_SQUARED_WEIGHT = (2 / 3) ** 2
"""Of the four nodes around a pixel: E[t² + (1-t)²] = 2/3 on each axis, t uniform in [0, 1)."""


@dataclass(frozen=True)
class RiseExplainer(SampledExplainer):
    """RISE with the paper's masks and a control variate.

    Attributes:
      num_samples: masks, at least 20; the paper takes 4000 for VGG16 and 8000 for ResNet-50.
      cells: side of the grid, at least 2 (the paper: 7, as ResNet-50's feature map).
      probability: that a node of the grid is visible, in (0, 1).
      top: how many of the heaviest superpixels have to be stable.
    """

    name: ClassVar[str] = "rise"
    score: ClassVar[Score] = "probability"
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)

    num_samples: int = 4000
    cells: int = 8
    probability: float = 0.5
    top: int = 3

    def __post_init__(self) -> None:
        if self.num_samples < MIN_SAMPLES:
            raise UserError(f"num_samples is {self.num_samples}; RISE needs at least {MIN_SAMPLES}")
        if self.cells < 2:
            raise UserError(f"cells is {self.cells}; RISE needs at least 2 (default 8)")
        if not 0 < self.probability < 1:
            raise UserError(f"probability is {self.probability}; it must lie between 0 and 1")

    def settings(self) -> dict[str, Any]:
        """See :class:`Explainer`."""
        attribution = "covariance of probability and mask over the mask's variance"
        return super().settings() | {"attribution": attribution}

    @property
    def num_predictions(self) -> int:
        """The masks."""
        return self.num_samples

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains one class's probability, and whether other masks would show the same top."""
        height, width = scene.superpixels.shape
        masks = draw_masks(self.num_samples, height, width, self.cells, self.probability, seed)
        probabilities = predict_masks(network, scene, class_index, self.num_samples, masks.between)
        variance = self.probability * (1 - self.probability) * MEAN_SQUARED_WEIGHT
        # The deviations sum to 0, so that the masks' own mean cancels.
        deviations = probabilities - probabilities.mean()
        attribution = masks.weighted_sum(deviations) / (self.num_samples - 1) / variance
        opacities = np.stack([mean_by_superpixel(scene, mask) for mask in masks])
        sampling = resampled_sampling(
            partial(slopes, opacities, probabilities, variance),
            self.num_samples,
            top=self.top,
            seed=seed,
        )
        attribution = np.where(scene.foreground, attribution, 0.0)
        return from_attribution(scene, class_index, attribution, sampling=sampling)


def slopes(
    opacities: Float[np.ndarray, "N S"],
    probabilities: Float[np.ndarray, " N"],
    variance: float,
    times: Float[np.ndarray, "B N"],
) -> Float[np.ndarray, "B S"]:
    """The superpixels' weights under each of B resamples of the masks.

    The attribution is linear in the masks, so that their means over superpixels suffice.

    Args:
      opacities: mean of each mask over each superpixel.
      probabilities: of the class under each mask.
      variance: of a mask at any pixel.
      times: how often each mask counts; rows of equal sums, at least 2.
    """
    count = times.sum(axis=1, keepdims=True)
    deviations = probabilities - times @ probabilities[:, None] / count
    return (times * deviations) @ opacities / (count - 1) / variance


@dataclass(frozen=True)
class Masks:
    """Random masks as in the paper's section 3.2; iterating yields them one by one.

    The paper enlarges a grid of h × w to h + 1 cells by w + 1 and crops the image's size out of
    it, somewhere within the first cell. Here the shift need not be whole pixels and the grid has
    nodes all around the crop, so that every pixel, also at the borders, has the same mean and
    variance.

    Attributes:
      grids: which nodes are visible, K = cells + 2.
      shifts: of the image in its grid, down and right, in cells, in [0, 1).
      height: H of the masks, in pixels.
      width: W likewise.
    """

    grids: Bool[np.ndarray, "N K K"]
    shifts: Float64[np.ndarray, "N 2"]
    height: int
    width: int

    def between(self, start: int, stop: int) -> Float32[np.ndarray, "n H W"]:
        """The masks from number `start` up to `stop`, in [0, 1]."""
        down = self._interpolation(self.height, self.shifts[start:stop, 0])
        across = self._interpolation(self.width, self.shifts[start:stop, 1])
        masks = down @ self.grids[start:stop].astype(np.float32) @ across.swapaxes(1, 2)
        return np.minimum(masks, 1)  # rounding can exceed 1 by a hair

    def weighted_sum(self, weights: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, "H W"]:
        """The sum of all masks, each times its weight, added up in order."""
        total = np.zeros((self.height, self.width))
        for weight, mask in zip(weights, self, strict=True):
            total += weight * mask
        return total

    def __iter__(self) -> Iterator[Float32[np.ndarray, "H W"]]:
        for number in range(len(self.grids)):
            yield self.between(number, number + 1)[0]

    def _interpolation(
        self, side: int, shifts: Float64[np.ndarray, " n"]
    ) -> Float32[np.ndarray, "n side K"]:
        """The linear weight of each node at every pixel along an axis; sums to 1."""
        nodes = self.grids.shape[1]
        positions = np.arange(side) * ((nodes - 2) / side) + shifts[:, None]
        distances = np.abs(positions[..., None] - np.arange(nodes))
        return np.maximum(0, 1 - distances).astype(np.float32)


def draw_masks(
    count: int, height: int, width: int, cells: int, probability: float, seed: int
) -> Masks:
    """Draws `count` masks whose image is `cells` cells high and wide."""
    random = np.random.default_rng(seed)
    grids = random.random((count, cells + 2, cells + 2)) < probability
    return Masks(grids, random.random((count, 2)), height, width)
