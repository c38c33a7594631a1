"""RISE: its masks are the paper's, its heat the covariance, and it finds planted evidence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.rise import Masks, RiseExplainer, draw_masks
from tests.explanation.methods.scenes import a_network, a_scene, all_foreground

REGION = (slice(10, 16), slice(16, 22))  # superpixel 6 of `a_scene`


def sees_region(images: np.ndarray) -> np.ndarray:
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
def test_every_pixel_is_shown_with_the_same_mean_and_variance(probability: float) -> None:
    count = 8000
    masks = draw_masks(count, 12, 12, 4, probability, 0).between(0, count).astype(np.float64)
    assert masks.min() >= 0
    assert masks.max() <= 1
    variance = probability * (1 - probability) * 4 / 9
    np.testing.assert_allclose(masks.mean(axis=0), probability, atol=5 * (variance / count) ** 0.5)
    np.testing.assert_allclose(masks.var(axis=0), variance, rtol=0.1)


def test_the_heat_is_the_covariance_over_the_variance() -> None:
    scene, explainer = all_foreground(32, 32), RiseExplainer(300, cells=4)
    heat = explainer.explain(scene, a_network(sees_region), 1, 7).heat
    masks = draw_masks(300, 32, 32, 4, 0.5, 7).between(0, 300)
    probabilities = sees_region(np.rint(masks * 255)[..., None].repeat(3, axis=-1))
    joint = np.concatenate([probabilities[:, None], masks.reshape(300, -1)], axis=1)
    expected = np.cov(joint, rowvar=False)[0, 1:].reshape(32, 32) / (0.25 * 4 / 9)
    np.testing.assert_allclose(heat, expected, atol=1e-4)


def test_it_finds_the_region_that_the_network_reads() -> None:
    scene = a_scene()
    explanation = RiseExplainer(1000).explain(scene, a_network(sees_region), 1, 0)
    inside = np.zeros((32, 32), bool)
    inside[REGION] = True
    assert inside[np.unravel_index(explanation.heat.argmax(), (32, 32))]
    elsewhere = scene.foreground & ~inside
    assert explanation.heat[inside].mean() > 5 * abs(explanation.heat[elsewhere].mean())
    assert explanation.weights.argmax() == 6


def test_the_heat_is_the_slope_in_the_pixels_opacity() -> None:
    network = a_network(lambda images: 0.2 + 0.6 * images[:, 16, 16, 0] / 255)
    heat = RiseExplainer(4000).explain(all_foreground(32, 32), network, 1, 0).heat
    assert heat[16, 16] == pytest.approx(0.6, rel=0.05)


def test_evidence_for_one_class_is_evidence_against_the_other() -> None:
    network = a_network(sees_region)
    for_it, against = (
        RiseExplainer(100).explain(a_scene(), network, label, 0).heat for label in (1, 0)
    )
    np.testing.assert_allclose(for_it, -against, atol=1e-9)


def test_a_network_that_never_moves_gives_no_heat() -> None:
    network = a_network(lambda images: np.full(len(images), 0.7))
    heat = RiseExplainer(50).explain(a_scene(), network, 1, 0).heat
    np.testing.assert_allclose(heat, 0, atol=1e-12)


def test_the_bits_do_not_depend_on_the_chunks_and_only_on_the_seed() -> None:
    def heat(batch_size: int, seed: int) -> np.ndarray:
        network = a_network(sees_region, batch_size=batch_size)
        return RiseExplainer(150).explain(a_scene(), network, 1, seed).heat

    np.testing.assert_array_equal(heat(512, 3), heat(7, 3))
    assert (heat(7, 3) != heat(7, 4)).any()


def test_it_asks_as_often_as_it_says() -> None:
    met: list[int] = []

    def score(images: np.ndarray) -> np.ndarray:
        met.append(len(images))
        return sees_region(images)

    explainer = RiseExplainer(300)
    explainer.explain(a_scene(), a_network(score), 1, 0)
    assert sum(met) == explainer.num_predictions == 300
    assert max(met) <= 256


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"num_samples": 1}, "num_samples is 1"),
        ({"cells": 1}, "cells is 1"),
        ({"probability": 0.0}, "probability is 0.0"),
        ({"probability": 1.0}, "probability is 1.0"),
        ({"probability": float("nan")}, "probability is nan"),
    ],
)
def test_options_out_of_range(options: dict[str, float], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        RiseExplainer(**options)  # type: ignore[arg-type]
