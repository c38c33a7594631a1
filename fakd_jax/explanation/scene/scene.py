"""What an explanation of an image can be about: the image, its superpixels, what hides them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8

from fakd_jax.inference.network import Network

BACKGROUND = -1
"""The label of what is never hidden, and so is never evidence."""


@dataclass(frozen=True)
class Scene:
    """An image made ready to be explained; every method sees the same.

    Attributes:
      image: uint8 ``[H, W, 3]``, at the network's input size.
      superpixels: label map int32 ``[H, W]``, 0 … S-1 without gaps; -1 is background.
      replacement: uint8 ``[H, W, 3]``, what is seen where something is hidden.
    """

    image: UInt8[np.ndarray, "H W 3"]
    superpixels: Int32[np.ndarray, "H W"]
    replacement: UInt8[np.ndarray, "H W 3"]

    @property
    def count(self) -> int:
        """The number of superpixels, at least 1."""
        return int(self.superpixels.max()) + 1

    @property
    def foreground(self) -> Bool[np.ndarray, "H W"]:
        """Where evidence may lie."""
        return self.superpixels != BACKGROUND


def predict_visible(
    network: Network, scene: Scene, visible: Bool[np.ndarray, "N S"]
) -> Float32[np.ndarray, "N C"]:
    """Class probabilities of the scene's image with some superpixels replaced.

    Args:
      network: to query.
      scene: its background is always visible.
      visible: for each of N masked inputs, which of the S superpixels are the image's own.
    """
    predict = network.prepare_masked(
        scene.image, scene.replacement, scene.superpixels, len(visible)
    )
    return predict(visible)


def mean_by_superpixel(scene: Scene, values: Float[np.ndarray, "H W"]) -> Float[np.ndarray, " S"]:
    """The mean of values over each superpixel."""
    inside = scene.foreground
    labels = scene.superpixels[inside]
    counts = np.bincount(labels, minlength=scene.count)
    return np.bincount(labels, weights=values[inside], minlength=scene.count) / counts
