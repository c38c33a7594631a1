"""What an explanation of an image can be about: the image, its superpixels, what hides them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8

from fakd_jax.explanation.network import Network

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


def predict_shown(
    network: Network, scene: Scene, shown: Bool[np.ndarray, "N S"]
) -> Float32[np.ndarray, "N C"]:
    """The probabilities of copies of the scene's image in which superpixels are hidden.

    Args:
      network: who is asked.
      scene: image, superpixels and what hides them; its background is always shown.
      shown: for each of N copies, which of the S superpixels are as they were.
    """
    segments = scene.superpixels
    if not scene.foreground.all():  # the background becomes one more segment, shown in all
        segments = np.where(scene.foreground, segments, scene.count)
        shown = np.concatenate([shown, np.ones((len(shown), 1), bool)], axis=1)
    return network.predict_hidden(scene.image, scene.replacement, segments, shown)


def mean_by_superpixel(scene: Scene, values: Float[np.ndarray, "H W"]) -> Float[np.ndarray, " S"]:
    """The mean of values over each superpixel."""
    inside = scene.foreground
    labels = scene.superpixels[inside]
    counts = np.bincount(labels, minlength=scene.count)
    return np.bincount(labels, weights=values[inside], minlength=scene.count) / counts
