"""RISE: the paper's masks, and attribution that is a covariance with them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from fakd_jax.explanation.methods.rise import Masks, RiseExplainer, draw_masks, slopes
from fakd_jax.explanation.scene.scene import mean_by_superpixel
from tests.explanation.methods.scenes import a_network, a_scene, all_foreground, check_sampling

REGION = (slice(10, 16), slice(16, 22))


def reads_region(images: np.ndarray) -> np.ndarray:
    """The brightness of a region, and of nothing else."""
    return images[(slice(None), *REGION)].mean(axis=(1, 2, 3)) / 255


@pytest.mark.parametrize(("height", "width", "cells"), [(16, 16, 8), (15, 22, 4), (5, 9, 7)])
def test_masks_are_the_grid_interpolated_as_scipy_does(height: int, width: int, cells: int) -> None:
    masks = draw_masks(6, height, width, cells, 0.5, 0)
    for grid, (down, across), mask in zip(
        masks.grids, masks.shifts, masks.between(0, 6), strict=True
    ):
        rows = np.arange(height) * cells / height + down
        columns = np.arange(width) * cells / width + across
        places = np.meshgrid(rows, columns, indexing="ij")
        expected = map_coordinates(grid.astype(float), places, order=1, mode="constant", cval=9)
        np.testing.assert_allclose(mask, expected, atol=1e-5)


def test_a_mask_by_hand() -> None:
    grid = np.zeros((1, 4, 4), bool)
    grid[0, 1, 2] = True
    masks = Masks(grid, np.array([[0.25, 0.5]]), 4, 4)
    # Rows lie at 0.25, 0.75, 1.25, 1.75 of the nodes' distance, columns at 0.5, 1, 1.5, 2.
    expected = np.outer([0.25, 0.75, 0.75, 0.25], [0, 0, 0.5, 1])
    np.testing.assert_allclose(masks.between(0, 1)[0], expected)


@pytest.mark.parametrize("probability", [0.2, 0.5])
def test_every_pixel_has_the_same_mean_and_variance(probability: float) -> None:
    count = 8000
    masks = draw_masks(count, 12, 12, 4, probability, 0).between(0, count).astype(np.float64)
    assert masks.min() >= 0
    assert masks.max() <= 1
    variance = probability * (1 - probability) * 4 / 9
    np.testing.assert_allclose(masks.mean(axis=0), probability, atol=5 * (variance / count) ** 0.5)
    np.testing.assert_allclose(masks.var(axis=0), variance, rtol=0.1)


def test_the_attribution_is_the_covariance_over_the_variance() -> None:
    scene, explainer = all_foreground(32, 32), RiseExplainer(300, cells=4)
    attribution = explainer.explain(scene, a_network(reads_region), 1, 7).attribution
    masks = draw_masks(300, 32, 32, 4, 0.5, 7).between(0, 300)
    probabilities = reads_region(np.rint(masks * 255)[..., None].repeat(3, axis=-1))
    joint = np.concatenate([probabilities[:, None], masks.reshape(300, -1)], axis=1)
    expected = np.cov(joint, rowvar=False)[0, 1:].reshape(32, 32) / (0.25 * 4 / 9)
    np.testing.assert_allclose(attribution, expected, atol=1e-4)


def test_the_batch_size_changes_no_bit_and_predictions_are_as_announced() -> None:
    counts: list[int] = []

    def score(images: np.ndarray) -> np.ndarray:
        counts.append(len(images))
        return reads_region(images)

    large, small = (
        RiseExplainer(300).explain(a_scene(), a_network(score, batch_size=size), 1, 3).attribution
        for size in (512, 7)
    )
    np.testing.assert_array_equal(large, small)
    assert sum(counts) == 2 * RiseExplainer(300).num_predictions == 600


def curved(images: np.ndarray) -> np.ndarray:
    """Two regions that need each other, and all else a little, from corner to corner."""
    one, other = images[:, 4:10, 10:16], images[:, 16:22, 16:22]
    both = one.mean(axis=(1, 2, 3)) * other.mean(axis=(1, 2, 3)) / 255**2
    slant = np.outer(np.linspace(0, 1, 32), np.linspace(1, 0, 32))
    return 0.1 + 0.5 * both + 0.3 * (images[..., 0] * slant).mean(axis=(1, 2)) / 255


def test_sampling_is_what_other_seeds_show() -> None:
    explainer, network = RiseExplainer(100, cells=4, top=5), a_network(curved, batch_size=64)
    check_sampling([explainer.explain(a_scene(), network, 1, seed) for seed in range(24)], 5)


def test_resampled_weights_are_means_of_the_attribution_over_the_drawn_masks() -> None:
    """By NumPy's covariance of repeated masks; each mask once gives the explanation."""
    opacities = np.array([[0.1, 0.7], [0.4, 0.2], [0.9, 0.3]])
    probabilities, counts = np.array([0.2, 0.5, 0.6]), np.array([[1, 1, 1], [0, 2, 1]])
    fitted = slopes(opacities, probabilities, 0.5, counts.astype(float))
    for row, times in zip(fitted, counts, strict=True):
        drawn = np.repeat(np.column_stack([probabilities, opacities]), times, axis=0)
        np.testing.assert_allclose(row, np.cov(drawn, rowvar=False)[0, 1:] / 0.5)
    scene = a_scene()
    explanation = RiseExplainer(40).explain(scene, a_network(reads_region), 1, 0)
    masks = draw_masks(40, 32, 32, 8, 0.5, 0)
    means = np.stack([mean_by_superpixel(scene, mask) for mask in masks])
    opacity = np.where(scene.foreground, masks.between(0, 40), 1)
    images = np.rint(opacity[..., None] * scene.image)
    weights = slopes(means, reads_region(images), 0.25 * 4 / 9, np.ones((1, 40)))[0]
    np.testing.assert_allclose(weights, explanation.weights, atol=1e-6)
