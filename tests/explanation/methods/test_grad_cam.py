"""Grad-CAM, its successors: by hand, against the papers' formulas written out, and enlarged."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.grad_cam import GradCam, GradCamPlusPlus, HiResCam, enlarge
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Gradients, Network
from tests.explanation.methods.scenes import that_predicts_nothing, unused

SIDE = 4
MAPS = np.zeros((2, 2, 2), np.float32)
MAPS[..., 0] = [[1, 2], [3, 4]]
MAPS[..., 1] = [[4, 0], [0, 0]]
HEAD = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)  # of the mean of each map, by class


def linear_features(image: np.ndarray, class_index: int, layer: str) -> tuple:
    """A network that averages each map: its gradient is the same everywhere."""
    gradient = np.broadcast_to(HEAD[class_index] / 4, MAPS.shape)
    return (MAPS if layer == "last" else -MAPS), gradient


def a_network(layers: tuple[str, ...] = ("first", "last")) -> Network:
    sizes = dict.fromkeys(layers, (2, 2))
    return that_predicts_nothing(Gradients(unused, linear_features, sizes, unused), SIDE)


def a_scene() -> Scene:
    superpixels = np.full((SIDE, SIDE), -1, np.int32)
    superpixels[0, 0], superpixels[3, 3] = 0, 1  # corners are not interpolated
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    return Scene(image, superpixels, image)


def test_grad_cam_of_a_linear_network_by_hand() -> None:
    """(1 · A₀ - 2 · A₁) / 4 = [[-7, 2], [3, 4]] / 4: signs are kept."""
    explanation = GradCam().explain(a_scene(), a_network(), 0, seed=0)
    np.testing.assert_allclose(explanation.weights, [-7 / 4, 1.0])
    assert explanation.attribution.shape == (SIDE, SIDE)
    assert explanation.attribution[0, 3] == pytest.approx(2 / 4)
    other = GradCam(layer="first").explain(a_scene(), a_network(), 0, seed=0)
    np.testing.assert_allclose(other.attribution, -explanation.attribution)


@pytest.mark.parametrize("class_index", [0, 1])
def test_grad_cam_of_a_pooled_linear_network_sums_to_the_logit(class_index: int) -> None:
    weights = GradCam.channel_weights(*linear_features(MAPS, class_index, "last"))
    assert (MAPS @ weights).sum() == pytest.approx(HEAD[class_index] @ MAPS.mean(axis=(0, 1)))


def literal_grad_cam_plus_plus(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Equations 5 and 19 of Chattopadhyay et al., Y = exp(S), loop by loop; over Y, a scale."""
    height, width, channels = features.shape
    weights = np.zeros(channels)
    for k in range(channels):
        total = sum(features[a, b, k] for a, b in itertools.product(range(height), range(width)))
        for i, j in itertools.product(range(height), range(width)):
            first, second, third = (float(gradient[i, j, k]) ** power for power in (1, 2, 3))
            if first == 0:
                continue
            weights[k] += second / (2 * second + total * third) * max(first, 0.0)
    return weights


def test_grad_cam_plus_plus_is_the_papers_formula() -> None:
    random = np.random.default_rng(0)
    features = random.random((3, 5, 4)).astype(np.float32)
    gradient = random.standard_normal((3, 5, 4)).astype(np.float32)
    gradient[random.random(gradient.shape) < 0.3] = 0
    np.testing.assert_allclose(
        GradCamPlusPlus.channel_weights(features, gradient),
        literal_grad_cam_plus_plus(features, gradient),
        rtol=1e-4,
    )


def test_grad_cam_plus_plus_by_hand() -> None:
    """Channel 0: 4 · 1/(2 + 10/4) · 1/4 = 2/9. Channel 1 speaks against: nothing."""
    weights = GradCamPlusPlus.channel_weights(*linear_features(MAPS, 0, "last"))
    np.testing.assert_allclose(weights, [2 / 9, 0])


def test_grad_cam_plus_plus_weighs_objects_alike_whatever_their_area() -> None:
    features = np.zeros((4, 4, 2), np.float32)
    features[:2, :, 0], features[3, 3, 1] = 1, 1
    large, small = GradCam.channel_weights(features, features.copy())
    assert large == 8 * small
    large, small = GradCamPlusPlus.channel_weights(features, features.copy())
    assert large == pytest.approx(8 / (2 + 8))
    assert small == pytest.approx(1 / (2 + 1))


def test_a_negative_channel_does_not_reverse_its_evidence() -> None:
    """Channels sum to -4: 2 + S·g is -2 where g is 1, and 1 where g is 1/4, so that α is 1 there.

    The formula as it stands would give -1/2 · 1 + 1 · 1/4: evidence against, of gradients for.
    """
    features = np.full((1, 2, 2), -2.0, np.float32)
    gradient = np.array([[[1.0, 1.0], [0.25, 0.75]]], np.float32)
    np.testing.assert_allclose(GradCamPlusPlus.channel_weights(features, gradient), [0.25, 0])
    # Without a denominator (2 + S·g = 0, as hard-swish may leave it) or a gradient: no weight.
    gradient = np.array([[[1.0, 0.0], [1.0, 0.0]]], np.float32)
    np.testing.assert_array_equal(GradCamPlusPlus.channel_weights(features / 2, gradient), [0, 0])


def test_hires_cam_weighs_each_position_by_hand() -> None:
    """At the corners A₀·g₀ + A₁·g₁, which no weight per channel could give."""
    gradient = np.array([[[1, 0], [0, 9]], [[0, 9], [-2, 9]]], np.float32)
    np.testing.assert_array_equal(HiResCam().evidence(MAPS, gradient), [[1, 0], [0, -8]])
    network = that_predicts_nothing(
        Gradients(unused, lambda image, index, layer: (MAPS, gradient), {"a": (2, 2)}, unused), SIDE
    )
    explanation = HiResCam().explain(a_scene(), network, 0, seed=0)
    np.testing.assert_allclose(explanation.weights, [1, -8])


def test_of_a_pooled_linear_network_hires_cam_is_grad_cam() -> None:
    features, gradient = linear_features(MAPS, 0, "last")
    np.testing.assert_allclose(
        HiResCam().evidence(features, gradient), GradCam().evidence(features, gradient)
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"a": (56, 56), "b": (56, 56), "c": (28, 28)}, "b"),
        ({"a": (60, 57), "b": (57, 55)}, "a"),  # both sides have to be large enough
        ({"a": (28, 28), "b": (14, 14)}, "a"),
    ],
)
def test_hires_cam_takes_the_last_map_of_a_quarter_of_the_side(
    sizes: dict[str, tuple[int, int]], expected: str
) -> None:
    assert HiResCam().choose_layer(sizes, 224) == expected
    assert GradCam().choose_layer(sizes, 224) == list(sizes)[-1]


@pytest.mark.parametrize(("size", "coarse"), [((4, 9), True), ((9, 4), True), ((5, 5), False)])
def test_the_size_of_the_map_is_recorded(size: tuple[int, int], coarse: bool) -> None:
    maps = np.ones((*size, 2), np.float32)
    gradients = Gradients(unused, lambda *arguments: (maps, maps), {"only": size}, unused)
    network = that_predicts_nothing(gradients, SIDE)
    found = GradCamPlusPlus().explain(a_scene(), network, 0, seed=0).feature_map
    assert found is not None
    assert (found.layer, found.height, found.width, found.coarse) == ("only", *size, coarse)


def test_enlarging_has_half_pixel_centres() -> None:
    np.testing.assert_allclose(
        enlarge(np.array([[0.0, 4.0]]), (2, 8)), [[0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4]] * 2
    )


def test_enlarging_is_the_interpolation_of_the_distillation() -> None:
    import jax

    values = np.random.default_rng(0).standard_normal((7, 5))
    expected = jax.image.resize(values, (56, 40), method="bilinear")
    np.testing.assert_allclose(enlarge(values, (56, 40)), expected, atol=1e-6)


def test_unknown_layers_are_refused() -> None:
    with pytest.raises(UserError, match="middle"):
        GradCam(layer="middle").explain(a_scene(), a_network(), 0, seed=0)
    with pytest.raises(UserError, match="has none"):
        GradCam().explain(a_scene(), a_network(layers=()), 0, seed=0)
