"""What an explanation of an image can be about: the image, its superpixels, what hides them."""

from __future__ import annotations

from collections.abc import Callable
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


def prepare_shown(
    network: Network, scene: Scene, copies: int
) -> Callable[[Bool[np.ndarray, "N S"]], Float32[np.ndarray, "N C"]]:
    """Makes a network ready for copies of the scene's image in which superpixels are hidden.

    Args:
      network: who is to be asked.
      scene: image, superpixels and what hides them; its background is always shown.
      copies: how many copies it will be asked about, more or less.

    Returns:
      A function from which of the S superpixels are as they were in each of N copies to the
      probabilities of the C classes in each.
    """
    return network.prepare_hidden(scene.image, scene.replacement, scene.superpixels, copies)


def predict_shown(
    network: Network, scene: Scene, shown: Bool[np.ndarray, "N S"]
) -> Float32[np.ndarray, "N C"]:
    """The probabilities of the C classes in copies of the scene's image, all that will be asked.

    Args:
      network: who is asked.
      scene: see :func:`prepare_shown`.
      shown: for each of N copies, which of the S superpixels are as they were.
    """
    return prepare_shown(network, scene, len(shown))(shown)


def mean_by_superpixel(scene: Scene, values: Float[np.ndarray, "H W"]) -> Float[np.ndarray, " S"]:
    """The mean of values over each superpixel."""
    inside = scene.foreground
    labels = scene.superpixels[inside]
    counts = np.bincount(labels, minlength=scene.count)
    return np.bincount(labels, weights=values[inside], minlength=scene.count) / counts
