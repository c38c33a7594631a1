"""An image's shift depends on seed, family, severity and its pixels, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.data.dataset import content_of
from fakd_jax.stress.shifting import Shift, image_words, make_shift
from tests.stress.examples import FAMILIES

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
WORDS = image_words([content_of(image) for image in IMAGES])


@pytest.fixture(scope="module")
def noise() -> Shift:
    return make_shift(FAMILIES["noise"], 0)


def test_images_are_rounded_to_8_bits_after_the_shift() -> None:
    shift = make_shift(FAMILIES["dark"], 0)
    amounts = np.array([0.0, 0.3, 0.5], np.float32)
    shifted = np.asarray(shift(IMAGES, WORDS, amounts))
    exact = IMAGES * (1 - amounts.astype(np.float64)[:, None, None, None])
    assert shifted.dtype == np.uint8
    np.testing.assert_array_equal(shifted[0], IMAGES[0])
    assert np.abs(shifted - exact).max() <= 0.5 + 1e-4


def test_noise_follows_the_image_through_batches_and_severities(noise: Shift) -> None:
    grey = np.full_like(IMAGES, 128)  # the words, not these pixels, choose the noise
    weak = np.asarray(noise(grey, WORDS, np.full(3, 0.02, np.float32))).astype(int) - 128
    moved = np.asarray(noise(grey, WORDS[::-1], np.full(3, 0.02, np.float32))).astype(int) - 128
    np.testing.assert_array_equal(moved[::-1], weak)
    assert not np.array_equal(weak[0], weak[1])
    strong = np.asarray(noise(grey, WORDS, np.full(3, 0.1, np.float32))).astype(int) - 128
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] > 0.99
    other = make_shift(FAMILIES["noise"], 1)
    reseeded = np.asarray(other(grey, WORDS, np.full(3, 0.02, np.float32))).astype(int) - 128
    assert abs(np.corrcoef(weak.ravel(), reseeded.ravel())[0, 1]) < 0.2


def test_values_beyond_the_range_saturate(noise: Shift) -> None:
    extreme = np.zeros_like(IMAGES)
    extreme[1:] = 255
    shifted = np.asarray(noise(extreme, WORDS, np.full(3, 0.1, np.float32)))
    assert shifted[0].max() < 128 < shifted[1:].min()


def test_words_are_64_bits_of_the_content() -> None:
    assert image_words(["00000001fffffffe" + "0" * 16]).tolist() == [[1, 2**32 - 2]]
    assert image_words([]).shape == (0, 2)
    with pytest.raises(ValueError, match="invalid literal"):
        image_words(["not hexadecimal"])
