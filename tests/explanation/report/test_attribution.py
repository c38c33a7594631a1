"""Overlays: colours by sign, opacity by magnitude, lesions outlined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jaxtyping import TypeCheckError

from fakd_jax.explanation.methods.grad_cam import enlarge
from fakd_jax.explanation.report.attribution import (
    AGAINST_COLOUR,
    FOR_COLOUR,
    MAX_OPACITY,
    at_size,
    layer,
    overlay,
)

IMAGE = np.full((4, 6, 3), 100, np.uint8)
IMAGES = hnp.arrays(np.uint8, (5, 7, 3))
ATTRIBUTIONS = hnp.arrays(np.float64, (5, 7), elements=st.floats(-1e3, 1e3, allow_subnormal=False))


def at_own_size(image: np.ndarray, attribution: np.ndarray, **changes: np.ndarray) -> np.ndarray:
    return overlay(image, attribution, side=1, **changes)


def test_colours_show_the_sign_and_opacity_the_magnitude() -> None:
    attribution = np.zeros((4, 6))
    attribution[0, 0], attribution[1, 1], attribution[2, 2] = 2.0, -2.0, 1.0
    picture = at_own_size(IMAGE, attribution)
    # Of the magnitudes 1, 2, 2 the 99th percentile is 2.
    for place, share, colour in (
        ((0, 0), 1.0, FOR_COLOUR),
        ((1, 1), 1.0, AGAINST_COLOUR),
        ((2, 2), 0.5, FOR_COLOUR),
    ):
        opacity = MAX_OPACITY * share
        expected = np.rint(100 + opacity * (np.array(colour) - 100))
        np.testing.assert_array_equal(picture[place], expected)
        picture[place] = 100
    np.testing.assert_array_equal(picture, IMAGE)


@given(IMAGES, ATTRIBUTIONS)
def test_without_attribution_the_image_is_unchanged(
    image: np.ndarray, attribution: np.ndarray
) -> None:
    attribution[0] = 0
    np.testing.assert_array_equal(
        at_own_size(image, attribution)[attribution == 0], image[attribution == 0]
    )
    np.testing.assert_array_equal(at_own_size(image, 0 * attribution), image)


@given(IMAGES, ATTRIBUTIONS, st.integers(-30, 30))
def test_scaling_the_attribution_changes_nothing(
    image: np.ndarray, attribution: np.ndarray, power: int
) -> None:
    # Powers of two change no digit of a float.
    np.testing.assert_array_equal(
        at_own_size(image, attribution), at_own_size(image, attribution * 2.0**power)
    )


def test_neither_extreme_nor_few_pixels_change_the_opacity() -> None:
    black = np.zeros((20, 20, 3), np.uint8)
    everywhere, few = np.ones((20, 20)), np.zeros((20, 20))
    plain = overlay(black, everywhere)
    everywhere[0, 0] = 1e6
    np.testing.assert_array_equal(overlay(black, everywhere), plain)
    few[3, 4] = 1e-3  # less than one pixel in a hundred
    expected = np.rint(MAX_OPACITY * np.array(FOR_COLOUR))
    np.testing.assert_array_equal(at_own_size(black, few)[3, 4], expected)


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [((64, 64), 224, (224, 224)), ((32, 64), 128, (64, 128)), ((300, 280), 224, (300, 280))],
)
def test_only_small_pictures_are_enlarged(
    shape: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    picture = overlay(np.zeros((*shape, 3), np.uint8), np.ones(shape), side=side)
    assert picture.shape == (*expected, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("side", [8, 9, 10, 11, 224])
def test_enlarged_attribution_keeps_its_edges(side: int) -> None:
    attribution = np.zeros((8, 8))
    attribution[:, 4:] = 1
    tinted = overlay(np.zeros((8, 8, 3), np.uint8), attribution, side=side).any(axis=-1)
    assert tinted.any(axis=0).tolist() == [(x + 0.5) * 8 / side >= 4 for x in range(side)]


def test_a_lesion_is_outlined_in_white_and_black_outside_it() -> None:
    mask = np.zeros((7, 7), bool)
    mask[3, 3] = True
    image = np.full((7, 7, 3), 100, np.uint8)
    picture = at_own_size(image, np.zeros((7, 7)), mask=mask)[..., 0]
    expected = np.full((7, 7), 100)
    distance = np.abs(np.arange(7) - 3)[:, None] + np.abs(np.arange(7) - 3)
    expected[distance == 1], expected[distance == 2] = 255, 0
    np.testing.assert_array_equal(picture, expected)
    assert (image == 100).all(), "the argument was changed"
    empty = at_own_size(image, np.zeros((7, 7)), mask=np.zeros((7, 7), bool))
    np.testing.assert_array_equal(empty, image)


@given(IMAGES, ATTRIBUTIONS)
def test_a_layer_over_the_image_is_the_overlay(image: np.ndarray, attribution: np.ndarray) -> None:
    *colour, alpha = np.moveaxis(layer(attribution).astype(float), -1, 0)
    opacity = alpha[..., None] / 255
    laid = image + opacity * (np.stack(colour, axis=-1) - image)
    assert np.abs(laid - at_own_size(image, attribution)).max() <= 1.0


def test_attribution_at_another_size_keeps_weights_or_interpolates_as_a_cam() -> None:
    coarse = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(
        at_size(coarse, (4, 6), smooth=False), np.kron(coarse, np.ones((2, 2)))
    )
    smooth = at_size(coarse, (7, 12), smooth=True)
    np.testing.assert_allclose(smooth, enlarge(coarse, (7, 12)), atol=1e-5)
    assert at_size(coarse, (2, 3), smooth=True).tolist() == coarse.tolist()


def test_unsuitable_arrays_are_refused() -> None:
    with pytest.raises((ValueError, TypeCheckError)):
        overlay(IMAGE, np.zeros((6, 4)))
    with pytest.raises((ValueError, TypeCheckError)):
        overlay(IMAGE, np.zeros((4, 6)), mask=np.zeros((6, 4), bool))
    with pytest.raises(ValueError, match="not finite"):
        overlay(IMAGE, np.full((4, 6), np.nan))
