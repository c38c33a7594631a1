"""Asking a network about many masks of one image, without holding them all in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Float64

from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Network

MASKS_AT_ONCE = 256  # 51 MB of 224 × 224 pixels


def predict_masks(
    network: Network,
    scene: Scene,
    class_index: int,
    count: int,
    masks: Callable[[int, int], Float32[np.ndarray, "n H W"]],
) -> Float64[np.ndarray, " N"]:
    """The probability of a class for each of many masks; the background is always shown.

    Args:
      network: asked for some full batches at a time.
      scene: the image, what hides it, and where its background is.
      class_index: the class, in [0, C).
      count: N, how many masks there are; at least 1.
      masks: makes those from one number to before another: how much of every pixel is shown,
        in [0, 1].
    """
    step = max(1, MASKS_AT_ONCE // network.batch_size) * network.batch_size
    parts = []
    for start in range(0, count, step):
        shown = masks(start, min(start + step, count))
        opacity = np.where(scene.foreground, shown, np.float32(1))
        answers = network.predict_blended(scene.image, scene.replacement, opacity)
        parts.append(answers[:, class_index])
    return np.concatenate(parts).astype(np.float64)
