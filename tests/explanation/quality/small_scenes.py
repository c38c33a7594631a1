"""A scene of few superpixels, and networks that are functions of how much of each is visible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Network
from tests.explanation.methods.scenes import a_network

SIDE = 6
VISIBLE, REPLACED, OUTSIDE = 200, 0, 77

SUPERPIXELS = np.full((SIDE, SIDE), -1, np.int32)
SUPERPIXELS[0:2, 0:4] = 0  # 8 pixels
SUPERPIXELS[2:4, 0:2] = 1  # 4
SUPERPIXELS[2:4, 2:4] = 2  # 4
SUPERPIXELS[4:6, 0:4] = 3  # 8
AREAS = np.array([8, 4, 4, 8])


def small_scene() -> Scene:
    """Four superpixels of grey 200 where visible and 0 where not, and a background of 77."""
    image = np.where(SUPERPIXELS >= 0, VISIBLE, OUTSIDE).astype(np.uint8)
    colours = np.repeat(image[..., None], 3, axis=2)
    return Scene(colours, SUPERPIXELS, np.full_like(colours, REPLACED))


def network_of(probability: Callable[[np.ndarray], np.ndarray]) -> Network:
    """A network whose class 1 has a probability by how much of each superpixel is visible.

    Args:
      probability: of shares ``[N, 4]`` in [0, 1].
    """

    def score(images: np.ndarray) -> np.ndarray:
        assert (images[:, SUPERPIXELS < 0] == OUTSIDE).all()  # the background never changes
        grey = images[..., 0].astype(float) / VISIBLE
        shares = [grey[:, s == SUPERPIXELS].mean(axis=1) for s in range(4)]
        return probability(np.stack(shares, axis=1))

    return a_network(score, SIDE, batch_size=8)
