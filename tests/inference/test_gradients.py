"""Derivatives of a checkpoint's network: against the network itself, and what is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.data.preprocessing import Preprocessing, normalise
from fakd_jax.errors import UserError
from fakd_jax.inference.gradients import BATCH_SIZE, Derivatives
from fakd_jax.models import create_model, feature_gradient, forward
from fakd_jax.models.reinitialisation import reinitialise

SIDE = 32
PREPROCESSING = Preprocessing(image_size=SIDE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.5, 0.3))
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE + 3, SIDE, SIDE, 3), dtype=np.uint8)
GREY_LEVELS = IMAGES.astype(np.float32)


def network(seed: int = 0) -> nnx.Module:
    normalised = normalise(IMAGES, PREPROCESSING.mean, PREPROCESSING.std)
    metadata = {"arch": "tiny_mobilenet", "num_classes": 3}
    return reinitialise(metadata, seed, jnp.asarray(normalised))


@pytest.fixture(scope="module")
def model() -> nnx.Module:
    return network()


@pytest.fixture(scope="module")
def derivatives(model: nnx.Module) -> Derivatives:
    return Derivatives(model, PREPROCESSING, num_classes=3)


def pixel_gradient_of(model: nnx.Module, grey_levels: np.ndarray, class_index: int) -> np.ndarray:
    """Of the network as it is, batch norms and all; preprocessing written again."""
    mean, std = np.array(PREPROCESSING.mean), np.array(PREPROCESSING.std)

    @nnx.jit
    def gradient(model: nnx.Module, images: jax.Array) -> jax.Array:
        return jax.grad(lambda x: model(x)[:, class_index].sum())(images)

    inputs = (grey_levels / 255 - mean) / std
    return np.asarray(gradient(model, jnp.asarray(inputs, jnp.float32))) / 255 / std


def test_gradients_by_pixels_are_those_of_the_unfolded_network(
    derivatives: Derivatives, model: nnx.Module
) -> None:
    gradients = derivatives.of_pixels(GREY_LEVELS, 1)
    assert gradients.dtype == np.float32
    expected = pixel_gradient_of(model, GREY_LEVELS, 1)
    # Rounding may bring an activation to the other side of a kink, and a few pixels with it.
    assert np.linalg.norm(expected) > 0
    assert np.linalg.norm(gradients - expected) < 1e-2 * np.linalg.norm(expected)


def test_gradients_foretell_what_the_predictor_says(
    derivatives: Derivatives, model: nnx.Module
) -> None:
    gradient = derivatives.of_pixels(GREY_LEVELS[:1], 2)
    length = np.linalg.norm(gradient)
    step = 0.5 * gradient / length

    @nnx.jit
    def logits(model: nnx.Module, images: jax.Array) -> jax.Array:
        return model(images)

    ends = np.concatenate([GREY_LEVELS[:1] + step, GREY_LEVELS[:1] - step])
    inputs = (ends / 255 - np.array(PREPROCESSING.mean)) / np.array(PREPROCESSING.std)
    above, below = np.asarray(logits(model, jnp.asarray(inputs, jnp.float32)))[:, 2]
    assert above - below == pytest.approx(length, rel=0.05)


def test_a_row_does_not_depend_on_the_others_nor_on_their_number(derivatives: Derivatives) -> None:
    together = derivatives.of_pixels(GREY_LEVELS, 0)
    for index in (0, len(IMAGES) - 1):
        alone = derivatives.of_pixels(GREY_LEVELS[index : index + 1], 0)[0]
        np.testing.assert_allclose(alone, together[index], atol=1e-5 * np.abs(alone).max())
    assert derivatives.of_pixels(GREY_LEVELS[:0], 0).shape == (0, SIDE, SIDE, 3)


def test_gradients_by_features_are_those_of_the_unfolded_network(
    derivatives: Derivatives, model: nnx.Module
) -> None:
    features, gradient = derivatives.of_features(IMAGES[0], 2, "features.3")
    inputs = jnp.asarray(normalise(IMAGES[:1], PREPROCESSING.mean, PREPROCESSING.std))
    run = nnx.jit(feature_gradient, static_argnames="feature")
    expected = [np.asarray(values)[0] for values in run(model, inputs, "features.3", 2)]
    for values, wanted in zip((features, gradient), expected, strict=True):
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-3 * np.abs(wanted).max())


def test_nothing_compiles_again_for_another_class_or_number_or_other_weights(
    model: nnx.Module,
) -> None:
    derivatives = Derivatives(model, PREPROCESSING, num_classes=3)
    other = derivatives.with_weights_of(network(seed=5))
    for asked in (derivatives, other):
        for class_index in range(3):
            asked.of_pixels(GREY_LEVELS[: class_index + 1], class_index)
            asked.of_features(IMAGES[0], class_index, "features.6")
    assert derivatives._by_pixels._cache_size() == 1
    assert derivatives._by_features._cache_size() == 1


def test_other_weights_have_other_gradients(derivatives: Derivatives) -> None:
    drawn = network(seed=5)
    other = derivatives.with_weights_of(drawn)
    expected = pixel_gradient_of(drawn, GREY_LEVELS[:1], 0)
    actual = other.of_pixels(GREY_LEVELS[:1], 0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-3 * np.abs(expected).max())
    own = derivatives.of_pixels(GREY_LEVELS[:1], 0)
    assert np.abs(own - actual).max() > 0.1 * np.abs(actual).max()


def test_layers_are_the_maps_with_a_place_in_their_order(derivatives: Derivatives) -> None:
    assert derivatives.layers == [f"features.{index}" for index in range(7)]
    resnet = create_model("tiny_resnet", num_classes=3, rngs=nnx.Rngs(0))
    resnet.eval()
    of_resnet = Derivatives(resnet, PREPROCESSING, num_classes=3)
    _, maps = jax.eval_shape(
        lambda images: forward(resnet, images, features=("layer3", "layer4")), GREY_LEVELS[:1]
    )
    assert maps["layer4"].shape[1:3] == (1, 1)
    assert of_resnet.layers == ["relu", "maxpool", "layer1", "layer2", "layer3"]


def test_what_cannot_be_differentiated_is_refused(derivatives: Derivatives) -> None:
    with pytest.raises(ValueError, match="must be float32"):
        derivatives.of_pixels(IMAGES, 0)
    with pytest.raises(ValueError, match="must be float32"):
        derivatives.of_pixels(GREY_LEVELS[:, :16], 0)
    with pytest.raises(ValueError, match="must be uint8"):
        derivatives.of_features(GREY_LEVELS[0], 0, "features.6")
    for class_index in (-1, 3):
        with pytest.raises(ValueError, match="there is no class"):
            derivatives.of_pixels(GREY_LEVELS, class_index)
        with pytest.raises(ValueError, match="there is no class"):
            derivatives.of_features(IMAGES[0], class_index, "features.6")
    with pytest.raises(UserError, match=r"'features.99'.*features.6"):
        derivatives.of_features(IMAGES[0], 0, "features.99")
