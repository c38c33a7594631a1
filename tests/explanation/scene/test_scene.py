"""Queries about a scene: masks in chunks of full batches."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.explanation.scene.scene import (
    Scene,
    mean_by_superpixel,
    predict_masks,
)
from tests.explanation.methods.scenes import a_network, all_foreground, brightness


@pytest.mark.parametrize(("batch_size", "chunks"), [(100, [200, 200, 170]), (400, [400, 170])])
def test_every_mask_is_predicted_once_in_chunks_of_full_batches(
    batch_size: int, chunks: list[int]
) -> None:
    opacity = np.random.default_rng(0).integers(0, 256, (570, 1, 1)) / 255
    made: list[int] = []

    def masks(start: int, stop: int) -> np.ndarray:
        made.append(stop - start)
        return np.broadcast_to(opacity[start:stop], (stop - start, 2, 2)).astype(np.float32)

    network = a_network(brightness, batch_size=batch_size)
    probabilities = predict_masks(network, all_foreground(2, 2), 1, 570, masks)
    assert made == chunks
    np.testing.assert_allclose(probabilities, opacity[:, 0, 0], atol=1e-6)


def test_mean_by_superpixel_by_hand() -> None:
    labels = np.array([[0, 0, -1], [1, 1, 1]], np.int32)
    picture = np.zeros((2, 3, 3), np.uint8)
    values = np.array([[1.0, 3.0, 100.0], [2.0, 4.0, 9.0]])
    np.testing.assert_allclose(mean_by_superpixel(Scene(picture, labels, picture), values), [2, 5])
