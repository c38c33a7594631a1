"""Networks that are plain functions: masked inputs, batches, and outputs that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from lime.lime_image import LimeImageExplainer

from fakd_jax.explanation.methods.lime import draw_perturbations
from fakd_jax.explanation.scene.infill import mean_colours
from fakd_jax.inference.network import Network, mask

SIDE = 24
IMAGE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
SEGMENTS = np.kron(np.arange(9, dtype=np.int32).reshape(3, 3), np.ones((8, 8), np.int32))


def a_network(predict) -> Network:
    return Network.from_function(predict, class_names=("a", "b"), image_size=SIDE, batch_size=8)


def test_masked_inputs_and_masks_are_those_of_the_lime_package() -> None:
    queried: list[np.ndarray] = []

    def predict(images: np.ndarray) -> np.ndarray:
        queried.append(images)
        return np.full((len(images), 2), 0.5)

    LimeImageExplainer(random_state=np.random.RandomState(7)).explain_instance(
        IMAGE, predict, labels=(0,), top_labels=None, num_samples=25, random_seed=7,
        segmentation_fn=lambda image: SEGMENTS,
    )  # fmt: skip
    masks = draw_perturbations(25, 9, 7)
    ours = mask(IMAGE, mean_colours(IMAGE, SEGMENTS), SEGMENTS, masks)
    np.testing.assert_array_equal(ours, np.concatenate(queried))


def test_masks_show_the_image_or_its_replacement_and_keep_the_background() -> None:
    visible = np.stack([np.ones(9, bool), np.zeros(9, bool)])
    background = SEGMENTS.copy()
    background[:3] = -1
    whole, none = mask(IMAGE, 255 - IMAGE, background, visible)
    np.testing.assert_array_equal(whole, IMAGE)
    np.testing.assert_array_equal(none, np.concatenate([IMAGE[:3], 255 - IMAGE[3:]]))


def test_every_query_is_batched_and_counted() -> None:
    shapes, counts = set(), []

    def predict(images: np.ndarray) -> np.ndarray:
        shapes.add(images.shape)
        bright = images.mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)

    network = a_network(predict).in_batches(counts.append)
    visible = np.eye(9, dtype=bool)[[0, 1, 2, 3, 0]]
    masked = network.prepare_masked(IMAGE, IMAGE // 2, SEGMENTS, len(visible))(visible)
    opacity = visible[:, SEGMENTS].astype(np.float32)
    np.testing.assert_array_equal(network.predict_blended(IMAGE, IMAGE // 2, opacity), masked)
    network.predict_proba(IMAGE[None])
    assert shapes == {(8, SIDE, SIDE, 3)}
    assert sum(counts) == 11


@pytest.mark.parametrize(
    ("output", "complaint"),
    [(np.zeros(8), "shape"), (np.zeros((7, 2)), "shape"), (np.full((8, 2), np.nan), "finite")],
)
def test_wrong_outputs_are_refused(output: np.ndarray, complaint: str) -> None:
    network = a_network(lambda images: output).in_batches()
    with pytest.raises(ValueError, match=complaint):
        network.predict_proba(np.stack([IMAGE] * 3))
