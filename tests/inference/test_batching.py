"""A network is only ever asked in one batch shape, and wrong answers are refused."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.explanation.scene.infill import hiding_on_host, masking_on_host
from fakd_jax.inference.batching import in_fixed_batches, network_in_fixed_batches
from fakd_jax.inference.network import Network

SIDE = 12


def half_bright(images: np.ndarray) -> np.ndarray:
    bright = images.mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 20])
def test_ragged_batches_are_filled_and_the_filling_dropped(count: int) -> None:
    shapes, told = set(), []

    def predict(images: np.ndarray) -> np.ndarray:
        shapes.add(images.shape)
        return half_bright(images)

    images = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    result = in_fixed_batches(predict, 8, told.append)(images)
    np.testing.assert_array_equal(result, half_bright(images))
    assert shapes == {(8, SIDE, SIDE, 3)}
    assert sum(told) == count


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [(np.zeros(8), "shape"), (np.zeros((7, 2)), "shape"), (np.full((8, 2), np.nan), "finite")],
)
def test_wrong_answers_of_the_network_are_refused(answer: np.ndarray, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        in_fixed_batches(lambda images: answer, 8)(np.zeros((3, 9, 9, 3), np.uint8))


def test_all_three_ways_of_asking_are_batched_and_counted() -> None:
    shapes, told = set(), []

    def predict(images: np.ndarray) -> np.ndarray:
        shapes.add(images.shape)
        return half_bright(images)

    plain = Network(
        predict, hiding_on_host(predict), masking_on_host(predict), 8, ("a", "b"), SIDE, {}
    )
    network = network_in_fixed_batches(plain, told.append)
    image = np.full((SIDE, SIDE, 3), 200, np.uint8)
    segments = np.arange(SIDE * SIDE, dtype=np.int32).reshape(SIDE, SIDE) % 4
    shown = np.eye(4, dtype=bool)[[0, 1, 2, 3, 0]]
    hidden = network.prepare_hidden(image, image // 2, segments, len(shown))(shown)
    opacity = shown[:, segments].astype(np.float32)
    np.testing.assert_array_equal(network.predict_masked(image, image // 2, opacity), hidden)
    network.predict_proba(image[None])
    assert shapes == {(8, SIDE, SIDE, 3)}
    assert sum(told) == 11
