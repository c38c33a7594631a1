"""Integrated gradients: exact where theory says so, and complete."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.integrated_gradients import (
    IntegratedGradients,
    integrated_gradients,
)
from fakd_jax.explanation.result import Completeness
from fakd_jax.explanation.scene.infill import INFILLS
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Gradients
from tests.explanation.methods.scenes import that_predicts_nothing, unused

SIDE = 6
IMAGE, BASELINE = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
WEIGHTS = np.random.default_rng(1).standard_normal((SIDE, SIDE, 3))


def test_linear_functions_are_attributed_their_terms() -> None:
    attribution = integrated_gradients(
        lambda points: np.broadcast_to(WEIGHTS, points.shape), IMAGE, BASELINE, 1
    )
    np.testing.assert_allclose(attribution, WEIGHTS * (IMAGE.astype(float) - BASELINE), rtol=1e-12)


def test_a_product_is_shared_equally() -> None:
    """F = x · y from 0: each of the two factors brings half."""
    attribution = integrated_gradients(
        lambda points: points[:, ::-1], np.array([3.0, 5.0]), np.zeros(2), 1
    )
    np.testing.assert_allclose(attribution, [7.5, 7.5])


def test_a_polynomial_of_twice_the_degree_is_exact() -> None:
    """F = Σ x⁸ has a gradient of degree 7, which 4 points integrate."""
    x, start = np.array([1.5, -0.5, 2.0]), np.array([0.5, 1.0, 2.0])
    attribution = integrated_gradients(lambda points: 8 * points**7, x, start, 4)
    np.testing.assert_allclose(attribution, x**8 - start**8, rtol=1e-5)
    rough = integrated_gradients(lambda points: 8 * points**7, x, start, 2)
    assert abs(rough[0] - (x[0] ** 8 - start[0] ** 8)) > 0.1


@pytest.mark.parametrize(("steps", "gap"), [(8, 0.05), (64, 0.005)])
def test_completeness_of_a_function_with_kinks(steps: int, gap: float) -> None:
    units = np.random.default_rng(2).standard_normal((5, WEIGHTS.size)) / 255

    def function(points: np.ndarray) -> np.ndarray:
        return np.maximum(points.reshape(len(points), -1) @ units.T, 0).sum(axis=1)

    def gradients(points: np.ndarray) -> np.ndarray:
        active = points.reshape(len(points), -1) @ units.T > 0
        return (active @ units).reshape(points.shape)

    attribution = integrated_gradients(gradients, IMAGE, BASELINE, steps)
    image, baseline = function(np.stack([IMAGE, BASELINE]).astype(float))
    assert abs(image - baseline) > 0.5
    assert abs(attribution.sum() - (image - baseline)) < gap * np.abs(attribution).sum()


@pytest.mark.parametrize(("wrong_by", "complete"), [(0.0, True), (0.04, True), (0.06, False)])
def test_the_completeness_error_is_recorded(wrong_by: float, complete: bool) -> None:
    """Class 1 has the logit w·x, of which gradients `wrong_by` too large are integrated."""

    def logits(images: np.ndarray, like: np.ndarray) -> np.ndarray:
        assert images.dtype == np.float32
        assert like is scene.image
        return np.stack([np.zeros(len(images)), (images * WEIGHTS).sum(axis=(1, 2, 3))], axis=1)

    def wrt_pixels(images: np.ndarray, class_index: int, like: np.ndarray) -> np.ndarray:
        assert like is scene.image
        return np.broadcast_to(WEIGHTS * (1 + wrong_by), images.shape)

    network = that_predicts_nothing(Gradients(wrt_pixels, unused, {}, logits), SIDE)
    scene = a_scene()
    explanation = IntegratedGradients(steps=4).explain(scene, network, 1, seed=0)
    found = explanation.completeness
    assert found is not None
    expected = (WEIGHTS * (scene.image.astype(float) - scene.replacement)).sum()
    assert found.difference == pytest.approx(expected, rel=1e-5)
    assert found.attributed == pytest.approx(explanation.attribution.sum(), rel=1e-12)
    assert found.error == pytest.approx(wrong_by * expected, abs=1e-4 * abs(expected))
    assert found.relative_error == pytest.approx(wrong_by, abs=1e-4)
    assert found.complete == complete


def test_a_difference_of_nothing_has_no_relative_error() -> None:
    assert Completeness(attributed=0.5, difference=0.0).relative_error is None
    assert not Completeness(attributed=0.5, difference=0.0).complete
    assert Completeness(attributed=0.0, difference=0.0).complete


def a_scene(hide: str = "blur") -> Scene:
    """Two superpixels beside a background."""
    superpixels = np.full((SIDE, SIDE), -1, np.int32)
    superpixels[:, 2:4], superpixels[:, 4:] = 0, 1
    return Scene(IMAGE, superpixels, INFILLS[hide](IMAGE, superpixels))


@pytest.mark.parametrize("hide", INFILLS)
def test_the_explanation_sums_over_channels_and_excludes_the_background(hide: str) -> None:
    queried: list[int] = []

    def wrt_pixels(images: np.ndarray, class_index: int, like: np.ndarray) -> np.ndarray:
        assert images.dtype == np.float32
        queried.append(class_index)
        return np.broadcast_to(WEIGHTS, images.shape).astype(np.float32)

    network = that_predicts_nothing(
        Gradients(wrt_pixels, unused, {}, lambda images, like: np.zeros((len(images), 2))), SIDE
    )
    scene = a_scene(hide)
    explanation = IntegratedGradients(steps=3).explain(scene, network, 1, seed=0)
    expected = (WEIGHTS * (IMAGE.astype(float) - scene.replacement)).sum(axis=-1)
    assert queried == [1]
    assert explanation.class_index == 1
    np.testing.assert_allclose(explanation.attribution, expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(explanation.attribution != 0, scene.foreground)
    means = [expected[:, 2:4].mean(), expected[:, 4:].mean()]
    np.testing.assert_allclose(explanation.weights, means, rtol=1e-5, atol=1e-4)


def test_gradients_are_required() -> None:
    network = that_predicts_nothing(None, SIDE)
    with pytest.raises(UserError, match="no gradients"):
        IntegratedGradients().explain(a_scene(), network, 0, seed=0)
