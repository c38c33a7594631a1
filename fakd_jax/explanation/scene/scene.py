"""The scene that every method explains, and queries about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, UInt8

from fakd_jax.inference.network import Network

BACKGROUND = -1
"""The label of what is always visible, and so never evidence."""

MASKS_AT_ONCE = 256  # 51 MB of 224 × 224 pixels


@dataclass(frozen=True)
class Scene:
    """An image prepared to be explained.

    Attributes:
      image: at the network's input size.
      superpixels: label map, 0 … S-1 without gaps; -1 is background.
      replacement: the infill, shown where something is not visible.
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
) -> Float[np.ndarray, "N C"]:
    """Class probabilities of the image with some superpixels replaced.

    Args:
      network: to query.
      scene: its background is always visible.
      visible: which of the S superpixels are the image's own, for each of N masked inputs.
    """
    predict = network.prepare_masked(
        scene.image, scene.replacement, scene.superpixels, len(visible)
    )
    return predict(visible)


def predict_masks(
    network: Network,
    scene: Scene,
    class_index: int,
    count: int,
    masks: Callable[[int, int], Float32[np.ndarray, "n H W"]],
) -> Float64[np.ndarray, " N"]:
    """A class's probability for each of many masks, not all of which are in memory at once.

    Args:
      network: queried for full batches.
      scene: its background is always visible.
      class_index: in [0, C).
      count: N, at least 1.
      masks: makes the masks from one number up to another: the opacity of every pixel, in [0, 1].
    """
    step = max(1, MASKS_AT_ONCE // network.batch_size) * network.batch_size
    parts = []
    for start in range(0, count, step):
        opacity = masks(start, min(start + step, count))
        opacity = np.where(scene.foreground, opacity, np.float32(1))
        probabilities = network.predict_blended(scene.image, scene.replacement, opacity)
        parts.append(probabilities[:, class_index])
    return np.concatenate(parts).astype(np.float64)


def mean_by_superpixel(scene: Scene, values: Float[np.ndarray, "H W"]) -> Float[np.ndarray, " S"]:
    """The mean of values over each superpixel."""
    inside = scene.foreground
    labels = scene.superpixels[inside]
    counts = np.bincount(labels, minlength=scene.count)
    return np.bincount(labels, weights=values[inside], minlength=scene.count) / counts
