"""Warping by hand, and registration of pictures whose transform is known."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.audit.matching import registration
from fakd_jax.audit.matching.registration import (
    IDENTITY,
    register,
    transform_between_boxes,
    warp,
    warp_all,
)
from tests.audit.pictures import smooth

SIDE = 32
TRANSFORMS = np.array(
    [
        [1.00, 1.00, 0.00, 0.00],
        [1.00, 1.00, 0.03, -0.02],
        [1.05, 1.05, 0.00, 0.00],
        [0.95, 1.04, 0.02, 0.03],
        [1.03, 0.96, -0.03, -0.03],
    ],
    np.float32,
)


@pytest.fixture(scope="module")
def moving() -> np.ndarray:
    return smooth(len(TRANSFORMS), SIDE, sigma=2.5)


@pytest.fixture(scope="module")
def fixed(moving: np.ndarray) -> np.ndarray:
    """Each moving picture, transformed."""
    return warp_all(moving, TRANSFORMS)[0]


def starts(count: int) -> np.ndarray:
    return np.tile(IDENTITY, (count, 1))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (0, 3)])
def test_a_shift_takes_each_pixel_from_below_or_from_the_right(moving, down, right):
    picture, inside = warp(moving[0], jnp.array([1, 1, down / SIDE, right / SIDE]))
    rows, columns = SIDE - down, SIDE - right
    np.testing.assert_allclose(picture[:rows, :columns], moving[0, down:, right:], atol=1e-5)
    assert inside[:rows, :columns].all()
    assert inside.sum() == rows * columns


def test_scales_are_about_the_centre_and_between_pixels_is_linear():
    columns = jnp.tile(jnp.arange(5.0), (5, 1))
    half, inside = warp(columns, jnp.array([1, 0.5, 0, 0]))
    np.testing.assert_allclose(half, np.tile([1, 1.5, 2, 2.5, 3], (5, 1)))
    assert inside.all()
    double, inside = warp(columns.T, jnp.array([2.0, 1, 0, 0]))
    np.testing.assert_array_equal(inside[:, 0], [False, True, True, True, False])
    np.testing.assert_allclose(double[1:4, 0], [0, 2, 4])


BOXES = st.tuples(
    st.integers(0, 40), st.integers(10, 60), st.integers(0, 40), st.integers(10, 60)
).map(lambda drawn: np.array([[drawn[0], drawn[0] + drawn[1], drawn[2], drawn[2] + drawn[3]]]))


@given(box=BOXES, other=BOXES)
def test_one_box_is_mapped_onto_the_other_and_an_equal_box_stays(box, other):
    side = 100
    tall, wide, down, right = transform_between_boxes(box, other, side)[0].astype(float)
    centre = (side - 1) / 2
    for low, scale, shift in ((0, tall, down), (2, wide, right)):
        edges = box[0, low : low + 2] - 0.5  # a pixel's edge lies half a pixel before it
        mapped = centre + (edges - centre) * scale + shift * side
        np.testing.assert_allclose(mapped, other[0, low : low + 2] - 0.5, atol=1e-3)
    np.testing.assert_array_equal(transform_between_boxes(box, box, side), [IDENTITY])


@pytest.mark.parametrize("gain", [1.0, 0.4])
def test_a_known_transform_is_recovered_at_any_brightness(fixed, moving, gain):
    correlation, transform = register(gain * fixed, moving, starts(len(fixed)))
    assert (correlation > 0.999).all()
    np.testing.assert_allclose(transform, TRANSFORMS, atol=0.003)
    np.testing.assert_allclose(transform[0], IDENTITY, atol=1e-4)


def test_one_step_nearly_suffices_from_close_by_at_other_scales():
    moving = smooth(1, SIDE, sigma=2.5)
    target = np.array([[1.2, 0.8, 0.01, -0.01]], np.float32)
    fixed = warp_all(moving, target)[0]
    for index in range(4):
        begin = target.copy()
        begin[0, index] += 0.01
        found = register(fixed, moving, begin, steps=1)[1]
        np.testing.assert_allclose(found, target, atol=0.0025)


def test_registration_never_makes_the_correlation_worse():
    one, other = smooth(6, SIDE, 1.5, seed=1), smooth(6, SIDE, 1.5, seed=2)
    before = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)]
    correlation, transform = register(one, other, starts(6))
    assert (correlation >= np.array(before) - 1e-5).all()
    moved, inside = warp_all(other, transform)
    for index in range(6):  # the correlation returned is that at the transform returned
        at = inside[index]
        expected = np.corrcoef(one[index][at], moved[index][at])[0, 1]
        assert correlation[index] == pytest.approx(expected, abs=1e-4)


def test_only_the_overlap_counts():
    moving = smooth(1, SIDE, 2.0)
    fixed = smooth(1, SIDE, 2.0, seed=9)
    fixed[:, :-4] = moving[:, 4:]  # the last four columns are unrelated
    begin = np.array([[1, 1, 4 / SIDE, 0]], np.float32)
    correlation, transform = register(fixed, moving, begin)
    assert correlation[0] > 0.999
    np.testing.assert_allclose(transform, begin, atol=1e-3)


def test_more_than_a_batch_is_registered_like_each_pair_alone(fixed, moving):
    many = np.arange(registration.BATCH + 3) % len(fixed)
    correlation, transform = register(fixed[many], moving[many], starts(len(many)))
    alone = register(fixed, moving, starts(len(fixed)))
    np.testing.assert_allclose(correlation, alone[0][many], atol=1e-6)
    np.testing.assert_allclose(transform, alone[1][many], atol=1e-6)


def test_flat_pictures_correlate_with_nothing(moving):
    flat = np.zeros_like(moving)
    for pair in ((flat, moving), (moving, flat), (flat, flat)):
        correlation, transform = register(*pair, starts(len(moving)))
        np.testing.assert_allclose(correlation, 0, atol=1e-3)
        assert np.isfinite(transform).all()
