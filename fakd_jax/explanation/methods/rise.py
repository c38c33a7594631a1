"""RISE (Petsiuk, Das & Saenko 2018): how the probability goes with what random masks show.

A mask is a coarse grid of fair coins, enlarged by bilinear interpolation and shifted at random.
A pixel matters if the class is more probable in masks that show it.

The paper weighs a pixel by the mean of p·M over masks, divided by the mean of M: a mean
probability, which is high everywhere if the network is sure of the class, and of which noise
follows. Here the mean probability is taken away first, as a control variate: what is left is the
covariance of p and M. Divided by the variance of M it is the slope of the probability in the
pixel's opacity, positive where showing the pixel and its surroundings speaks for the class. Both
rank pixels alike in the limit of many masks; ours gets there with fewer, and has a sign and a
zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.masked import predict_masks
from fakd_jax.explanation.methods.resampling import LEAST_SAMPLES, resampled_sampling
from fakd_jax.explanation.quality.stability import STABLE
from fakd_jax.explanation.result import Explanation, from_attribution
from fakd_jax.explanation.scene.scene import Scene, mean_by_superpixel
from fakd_jax.inference.network import Network

MEAN_SQUARED_WEIGHT = (2 / 3) ** 2
"""Of the four nodes around a pixel: E[t² + (1-t)²] = 2/3 on each axis, t even in [0, 1)."""


@dataclass(frozen=True)
class RiseExplainer:
    """RISE with the paper's masks, and a control variate.

    Attributes:
      num_samples: masks, at least 20; the paper takes 4000 for VGG16 and 8000 for ResNet-50.
      cells: how many of the grid's cells the image is high and wide, at least 2 (paper: 7 of
        ResNet-50's feature map).
      probability: that a node of the grid is shown, in (0, 1).
      top: how many of the heaviest superpixels have to be stable.
    """

    name: ClassVar[str] = "rise"
    seeded: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = False

    num_samples: int = 4000
    cells: int = 8
    probability: float = 0.5
    top: int = 3

    def __post_init__(self) -> None:
        if self.num_samples < LEAST_SAMPLES:
            raise UserError(
                f"num_samples is {self.num_samples}; RISE needs at least {LEAST_SAMPLES} "
                "(default 4000)"
            )
        if self.cells < 2:
            raise UserError(f"cells is {self.cells}; RISE needs at least 2 (default 8)")
        if not 0 < self.probability < 1:
            raise UserError(
                f"probability is {self.probability}; it must lie between 0 and 1 (default 0.5)"
            )

    def settings(self) -> dict[str, Any]:
        """Every choice that the attribution depends on, scene and seed aside."""
        return {
            "method": self.name,
            "num_samples": self.num_samples,
            "cells": self.cells,
            "probability": self.probability,
            "attribution": "covariance of probability and mask over the mask's variance",
            "stable": {"top": self.top, "jaccard": STABLE},
            "versions": {"numpy": np.__version__},
        }

    @property
    def num_predictions(self) -> int:
        """How many images the network predicts for one explanation."""
        return self.num_samples

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains one class's probability, and tells whether other masks would show the same top.

        Args:
          scene: the image, what hides it, and where its background is.
          network: asked by its `predict_blended`.
          class_index: the class, in [0, C).
          seed: decides the masks; in [0, 2**31).
        """
        height, width = scene.superpixels.shape
        masks = draw_masks(self.num_samples, height, width, self.cells, self.probability, seed)
        probabilities = predict_masks(network, scene, class_index, self.num_samples, masks.between)
        variance = self.probability * (1 - self.probability) * MEAN_SQUARED_WEIGHT
        # The masks' own mean drops out, as the deviations sum to 0.
        deviations = probabilities - probabilities.mean()
        attribution = masks.weighted_sum(deviations) / (self.num_samples - 1) / variance
        explanation = from_attribution(
            scene, class_index, np.where(scene.foreground, attribution, 0.0)
        )
        opacities = np.stack([mean_by_superpixel(scene, mask) for mask in masks.one_by_one()])
        sampling = resampled_sampling(
            partial(slopes, opacities, probabilities, variance),
            self.num_samples,
            top=self.top,
            seed=seed,
        )
        return replace(explanation, sampling=sampling)


def slopes(
    opacities: Float[np.ndarray, "N S"],
    probabilities: Float[np.ndarray, " N"],
    variance: float,
    times: Float[np.ndarray, "B N"],
) -> Float[np.ndarray, "B S"]:
    """The superpixels' weights by each of B draws of the same masks.

    The mean of the attribution over a superpixel: the attribution is linear in the masks, so that their means
    over superpixels are all that is needed of them.

    Args:
      opacities: mean of each mask over each superpixel.
      probabilities: of the class in each mask.
      variance: of a mask at any pixel.
      times: how often each mask counts, a row a draw; of equal sums, at least 2.
    """
    count = times.sum(axis=1, keepdims=True)
    deviations = probabilities - times @ probabilities[:, None] / count
    return (times * deviations) @ opacities / (count - 1) / variance


@dataclass(frozen=True)
class Masks:
    """Random masks as in the paper's section 3.2, kept as the little they are made of.

    The paper enlarges a grid of h × w to h + 1 cells by w + 1 and cuts the image's size out of
    it, somewhere within the first cell. Here the shift need not be whole pixels and the grid has
    nodes around all of the cut, so that every pixel is shown with the same mean and the same
    variance, also at the borders.

    Attributes:
      grids: bool ``[N, cells + 2, cells + 2]``, which nodes are shown.
      shifts: float64 ``[N, 2]``, how far down and right the image lies in its grid, in cells,
        in [0, 1).
      height: H of the masks, in pixels.
      width: W likewise.
    """

    grids: Bool[np.ndarray, "N K K"]
    shifts: Float64[np.ndarray, "N 2"]
    height: int
    width: int

    def between(self, start: int, stop: int) -> Float32[np.ndarray, "n H W"]:
        """The masks from number `start` to before `stop`, in [0, 1]."""
        down = self._interpolation(self.height, self.shifts[start:stop, 0])
        across = self._interpolation(self.width, self.shifts[start:stop, 1])
        masks = down @ self.grids[start:stop].astype(np.float32) @ across.swapaxes(1, 2)
        return np.minimum(masks, 1)  # rounding can pass 1 by a hair

    def weighted_sum(self, weights: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, "H W"]:
        """The sum of all masks, each times its weight, added up in their order."""
        total = np.zeros((self.height, self.width))
        for weight, mask in zip(weights, self.one_by_one(), strict=True):
            total += weight * mask
        return total

    def one_by_one(self) -> Iterator[Float32[np.ndarray, "H W"]]:
        """The masks in their order, of which never more than one is held."""
        for number in range(len(self.grids)):
            yield self.between(number, number + 1)[0]

    def _interpolation(
        self, side: int, shifts: Float64[np.ndarray, " n"]
    ) -> Float32[np.ndarray, "n side K"]:
        """How much every pixel on an axis has of each node; linear, and sums to 1."""
        nodes = self.grids.shape[1]
        positions = np.arange(side) * ((nodes - 2) / side) + shifts[:, None]
        distances = np.abs(positions[..., None] - np.arange(nodes))
        return np.maximum(0, 1 - distances).astype(np.float32)


def draw_masks(
    count: int, height: int, width: int, cells: int, probability: float, seed: int
) -> Masks:
    """Draws masks at random.

    Args:
      count: N.
      height: H.
      width: W.
      cells: how many cells the image is high and wide.
      probability: that a node is shown.
      seed: of nodes and shifts.
    """
    random = np.random.default_rng(seed)
    grids = random.random((count, cells + 2, cells + 2)) < probability
    return Masks(grids, random.random((count, 2)), height, width)
