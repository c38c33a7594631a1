"""What replaces superpixels: their mean colours, a blur, or their surroundings."""

from __future__ import annotations

import numpy as np

from fakd_jax.explanation.scene.infill import blurred, inpainted, mean_colours

SIDE = 24


IMAGE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
SEGMENTS = np.kron(np.arange(9, dtype=np.int32).reshape(3, 3), np.ones((8, 8), np.int32))


def test_mean_colours_by_hand() -> None:
    image = np.array([[[10, 0, 1], [13, 0, 2]], [[200, 9, 9], [100, 7, 7]]], np.uint8)
    segments = np.array([[0, 0], [1, 2]], np.int32)
    expected = [[[11, 0, 1], [11, 0, 1]], [[200, 9, 9], [100, 7, 7]]]
    np.testing.assert_array_equal(mean_colours(image, segments), expected)


def test_inpainting_continues_the_surroundings() -> None:
    """A ramp is harmonic: what covers a part of it is replaced by the ramp."""
    ramp = np.repeat(np.tile(np.arange(SIDE) * 8, (SIDE, 1))[..., None], 3, axis=2)
    image = ramp.astype(np.uint8)
    segments = np.full((SIDE, SIDE), -1, np.int32)
    segments[8:16, 8:16] = 0
    image[segments == 0] = 255
    np.testing.assert_array_equal(inpainted(image, segments), ramp)


def test_inpainting_is_the_mean_of_the_four_neighbours_within_a_superpixel() -> None:
    filled = inpainted(IMAGE, SEGMENTS).astype(float)
    for y, x in ((3, 3), (12, 12), (20, 11)):
        around = [filled[y - 1, x], filled[y + 1, x], filled[y, x - 1], filled[y, x + 1]]
        np.testing.assert_allclose(filled[y, x], np.mean(around, axis=0), atol=1.01)


def test_inpainting_falls_back_on_the_mean_without_neighbours() -> None:
    whole = np.zeros((SIDE, SIDE), np.int32)
    np.testing.assert_allclose(inpainted(IMAGE, whole), mean_colours(IMAGE, whole), atol=1)


def test_blur_ignores_the_background() -> None:
    segments = np.full((SIDE, SIDE), -1, np.int32)
    segments[6:18, 6:18] = 0
    image = np.where(segments[..., None] == 0, 100, 0).repeat(3, axis=2).astype(np.uint8)
    np.testing.assert_array_equal(blurred(image, segments), image)
