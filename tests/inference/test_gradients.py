"""Gradients of logits: against the unfolded network, and what is refused."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.data.preprocessing import Preprocessing, normalise
from fakd_jax.errors import UserError
from fakd_jax.inference.gradients import BATCH_SIZE, LogitGradients
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models import create_model, feature_gradient
from fakd_jax.models.reinitialisation import reinitialise

SIDE = 32
PREPROCESSING = Preprocessing(image_size=SIDE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.5, 0.3))
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE + 3, SIDE, SIDE, 3), dtype=np.uint8)
GREY_LEVELS = IMAGES.astype(np.float32)
METADATA = {"arch": "tiny_mobilenet", "num_classes": 3}


def a_predictor(model: nnx.Module) -> Predictor:
    return Predictor(model, METADATA, preprocessing=PREPROCESSING, checkpoint=Path("nowhere"))


def network(seed: int = 0) -> nnx.Module:
    normalised = normalise(IMAGES, PREPROCESSING.mean, PREPROCESSING.std)
    return reinitialise(METADATA, seed, jnp.asarray(normalised))


@pytest.fixture(scope="module")
def model() -> nnx.Module:
    return network()


@pytest.fixture(scope="module")
def logit_gradients(model: nnx.Module) -> LogitGradients:
    return LogitGradients(a_predictor(model))


def standardised(grey_levels: np.ndarray) -> jax.Array:
    """The network's inputs, by preprocessing written out once more."""
    mean, std = np.array(PREPROCESSING.mean), np.array(PREPROCESSING.std)
    return jnp.asarray((grey_levels / 255 - mean) / std, jnp.float32)


@nnx.jit
def input_gradient(model: nnx.Module, images: jax.Array, class_index: int) -> jax.Array:
    return jax.grad(lambda x: model(x)[:, class_index].sum())(images)


def pixel_gradient_of(model: nnx.Module, class_index: int) -> np.ndarray:
    """The gradient of the network as it is, batch norms and all."""
    gradient = input_gradient(model, standardised(GREY_LEVELS), class_index)
    return np.asarray(gradient) / 255 / PREPROCESSING.std


def test_gradients_wrt_pixels_are_those_of_the_unfolded_network(
    logit_gradients: LogitGradients, model: nnx.Module
) -> None:
    gradients = logit_gradients.wrt_pixels(GREY_LEVELS, 1)
    expected = pixel_gradient_of(model, 1)
    # Rounding may bring an activation to the other side of a kink, and a few pixels with it.
    assert np.linalg.norm(expected) > 0
    assert np.linalg.norm(gradients - expected) < 1e-2 * np.linalg.norm(expected)


def test_gradients_predict_the_change_of_the_logit(
    logit_gradients: LogitGradients, model: nnx.Module
) -> None:
    gradient = logit_gradients.wrt_pixels(GREY_LEVELS[:1], 2)
    length = np.linalg.norm(gradient)
    step = 0.5 * gradient / length
    ends = standardised(np.concatenate([GREY_LEVELS[:1] + step, GREY_LEVELS[:1] - step]))
    above, below = np.asarray(nnx.jit(lambda model, images: model(images))(model, ends))[:, 2]
    assert above - below == pytest.approx(length, rel=0.05)


def test_a_row_does_not_depend_on_the_others_nor_on_their_number(
    logit_gradients: LogitGradients,
) -> None:
    together = logit_gradients.wrt_pixels(GREY_LEVELS, 0)
    for index in (0, len(IMAGES) - 1):
        alone = logit_gradients.wrt_pixels(GREY_LEVELS[index : index + 1], 0)[0]
        np.testing.assert_allclose(alone, together[index], atol=1e-5 * np.abs(alone).max())
    assert logit_gradients.wrt_pixels(GREY_LEVELS[:0], 0).shape == (0, SIDE, SIDE, 3)


def test_gradients_wrt_features_are_those_of_the_unfolded_network(
    logit_gradients: LogitGradients, model: nnx.Module
) -> None:
    features, gradient = logit_gradients.wrt_features(IMAGES[0], 2, "features.3")
    inputs = jnp.asarray(normalise(IMAGES[:1], PREPROCESSING.mean, PREPROCESSING.std))
    run = nnx.jit(feature_gradient, static_argnames="feature")
    expected = [np.asarray(values)[0] for values in run(model, inputs, "features.3", 2)]
    for values, wanted in zip((features, gradient), expected, strict=True):
        np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-3 * np.abs(wanted).max())


def test_other_weights_have_other_gradients_and_share_programs(
    logit_gradients: LogitGradients,
) -> None:
    drawn = network(seed=5)
    other = logit_gradients.with_weights_of(a_predictor(drawn))
    expected = pixel_gradient_of(drawn, 0)[:1]
    actual = other.wrt_pixels(GREY_LEVELS[:1], 0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-3 * np.abs(expected).max())
    own = logit_gradients.wrt_pixels(GREY_LEVELS[:1], 0)
    assert np.abs(own - actual).max() > 0.1 * np.abs(actual).max()
    for queried in (logit_gradients, other):
        for class_index in range(3):
            queried.wrt_pixels(GREY_LEVELS[: class_index + 1], class_index)
            queried.wrt_features(IMAGES[0], class_index, "features.3")
    assert logit_gradients._wrt_pixels._cache_size() == 1
    assert logit_gradients._wrt_features._cache_size() == 1


def test_layers_are_the_maps_of_more_than_one_position_in_order(
    logit_gradients: LogitGradients,
) -> None:
    sides = dict(enumerate((16, 16, 8, 4, 4)))
    assert logit_gradients.layers == {f"features.{i}": (side, side) for i, side in sides.items()}
    assert list(logit_gradients.layers) == [f"features.{index}" for index in range(5)]
    resnet = create_model("tiny_resnet", num_classes=3, rngs=nnx.Rngs(0))
    layers = LogitGradients(a_predictor(resnet)).layers  # layer4 is of one position
    assert list(layers) == ["relu", "maxpool", "layer1", "layer2", "layer3"]
    assert layers["layer1"] == (8, 8)


def test_wrong_images_classes_and_layers_are_refused(logit_gradients: LogitGradients) -> None:
    for images in (IMAGES, GREY_LEVELS[:, :16]):
        with pytest.raises(ValueError, match="must be float32"):
            logit_gradients.wrt_pixels(images, 0)
    with pytest.raises(ValueError, match="must be uint8"):
        logit_gradients.wrt_features(GREY_LEVELS[0], 0, "features.4")
    for class_index in (-1, 3):
        with pytest.raises(ValueError, match="no class"):
            logit_gradients.wrt_pixels(GREY_LEVELS, class_index)
        with pytest.raises(ValueError, match="no class"):
            logit_gradients.wrt_features(IMAGES[0], class_index, "features.4")
    with pytest.raises(UserError, match=r"features.99"):
        logit_gradients.wrt_features(IMAGES[0], 0, "features.99")
