"""Preprocessing inside a graph: the numbers of `fakd_jax.data.preprocessing`."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from fakd_jax.data.preprocessing import Preprocessing, resize
from fakd_jax.export.onnx.graph import Graph
from fakd_jax.export.onnx.preprocessing import add_preprocessing

SIDE = 32
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.5)
LEVEL = 1 / 255  # one grey level on the scale of 0 to 1


def run(preprocessing: Preprocessing, images: np.ndarray) -> np.ndarray:
    graph = Graph()
    name = add_preprocessing(graph, "images", preprocessing)
    side = preprocessing.image_size
    model = graph.model(
        {"images": ("UINT8", ("batch", "height", "width", 3))},
        {"inputs": (name, "FLOAT", ("batch", 3, side, side))},
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (inputs,) = session.run(None, {"images": images})
    return inputs.transpose(0, 2, 3, 1)


def noise(batch: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (batch, height, width, 3), np.uint8)


@pytest.mark.parametrize("intensity", ["none", "head_percentiles"])
def test_images_of_the_input_size_are_prepared_as_in_training(intensity: str) -> None:
    preprocessing = Preprocessing(SIDE, MEAN, STD, intensity=intensity)
    dark = noise(2, SIDE, SIDE) // 3
    flat = np.full((1, SIDE, SIDE, 3), 77, np.uint8)  # no contrast: left as it is
    images = np.concatenate([noise(1, SIDE, SIDE), dark, flat])
    expected = np.asarray(preprocessing.inputs(images))
    np.testing.assert_allclose(run(preprocessing, images), expected, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (41, 70), (20, 25), (300, 33), (7, 200)])
def test_resizing_is_pillows_to_one_grey_level(height: int, width: int) -> None:
    images = noise(2, height, width)
    unit = Preprocessing(SIDE, (0, 0, 0), (1, 1, 1))
    found = np.rint(run(unit, images) / LEVEL).astype(int)
    difference = np.abs(found - np.stack([resize(image, SIDE) for image in images]))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.25
