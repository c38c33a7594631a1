"""Scenes: heads found, superpixels in them, and what stands in their place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakd_jax.data.head import find_head
from fakd_jax.explanation.scene.builder import PAPER, SceneBuilder
from fakd_jax.explanation.scene.superpixels import Quickshift, Slic

SIDE = 96


def a_head(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A textured ellipse with a dark hole in noisy air, and where it is."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    head = ((y - 50) / 36) ** 2 + ((x - 46) / 28) ** 2 < 1
    hole = (y - 44) ** 2 + (x - 50) ** 2 < 25
    grey = np.where(head & ~hole, 120 + 30 * np.sin(x / 5), 4) + generator.normal(0, 3, head.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2), head


def test_the_head_is_found_with_its_holes_and_without_what_lies_beside_it() -> None:
    image, head = a_head()
    image[4:9, 70:90] = 255  # a mark in the corner
    found = find_head(image)
    assert (found & head).sum() / (found | head).sum() > 0.95
    assert found[44, 50]
    assert not found[4:9, 70:90].any()
    framed = image.copy()
    framed[[0, -1]] = framed[:, [0, -1]] = 255  # a bright frame is no part of the head
    np.testing.assert_array_equal(find_head(framed), found)
    cut = find_head(image[30:])  # a head that the edge cuts off reaches it
    assert (cut[0] == head[30]).mean() > 0.95


def images_without_a_head() -> dict[str, np.ndarray]:
    """Images in which no head stands out from the air."""
    speck = np.zeros((60, 60, 3), np.uint8)
    speck[30:34, 30:34] = 255
    image, head = a_head()
    head[50:, 30:60] = True  # a neck, down to the edge
    bright_air = np.where(head[..., None], image.clip(100, 170), 255).astype(np.uint8)
    grey = {f"grey {level}": np.full((40, 40, 3), level, np.uint8) for level in (0, 90)}
    return grey | {"speck": speck, "bright air": bright_air}


@pytest.mark.parametrize("name", images_without_a_head())
def test_without_a_head_the_whole_image_is_foreground(name: str) -> None:
    assert find_head(images_without_a_head()[name]).all()


@pytest.mark.parametrize("segmenter", [Slic(), Quickshift()])
def test_superpixels_cover_exactly_the_head_without_gaps_in_numbers(segmenter) -> None:
    image, _ = a_head()
    found = find_head(image)
    labels = segmenter(image, found, 4)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels >= 0, found)
    np.testing.assert_array_equal(np.unique(labels[found]), np.arange(labels.max() + 1))
    np.testing.assert_array_equal(labels, segmenter(image, found, 4))


def test_slic_finds_about_as_many_as_requested() -> None:
    image, _ = a_head()
    found = find_head(image)
    few, many = (int(Slic(count)(image, found, 0).max()) + 1 for count in (12, 60))
    assert 6 <= few <= 18
    assert 36 <= many <= 72


def test_the_papers_superpixels_are_those_of_limes_defaults() -> None:
    from skimage.segmentation import quickshift

    image, _ = a_head()
    scene = PAPER.scene(image, 4)
    expected = quickshift(image, kernel_size=4, max_dist=200, ratio=0.2, rng=4)
    np.testing.assert_array_equal(scene.superpixels, expected)
    assert scene.foreground.all()


@settings(max_examples=15)
@given(st.sampled_from(["mean", "blur", "inpaint"]), st.integers(0, 50))
def test_background_is_never_replaced(hide: str, seed: int) -> None:
    image, _ = a_head(seed)
    scene = SceneBuilder(hide=hide).scene(image, 0)
    outside = ~scene.foreground
    np.testing.assert_array_equal(scene.replacement[outside], image[outside])
    assert (scene.replacement[scene.foreground] != image[scene.foreground]).any()
