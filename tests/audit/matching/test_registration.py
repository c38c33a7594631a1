from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakd_jax.audit.matching.registration import (
    BATCH,
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
    """Each moving picture laid as `TRANSFORMS` says: what registration should find again."""
    return warp_all(moving, TRANSFORMS)[0]


def starts(count: int) -> np.ndarray:
    return np.tile(IDENTITY, (count, 1))


def test_the_identity_changes_nothing(moving):
    picture, inside = warp(jnp.asarray(moving[0]), jnp.asarray(IDENTITY))
    np.testing.assert_allclose(picture, moving[0], atol=1e-6)
    assert inside.all()


def test_a_shift_down_takes_each_row_from_below(moving):
    picture, inside = warp(moving[0], jnp.array([1, 1, 2 / SIDE, 0]))
    np.testing.assert_allclose(picture[:-2], moving[0, 2:], atol=1e-5)
    assert inside[:-2].all()
    assert not inside[-2:].any()


def test_a_shift_right_takes_each_column_from_the_right(moving):
    picture, inside = warp(moving[0], jnp.array([1, 1, 0, 3 / SIDE]))
    np.testing.assert_allclose(picture[:, :-3], moving[0, :, 3:], atol=1e-5)
    assert inside[:, :-3].all()
    assert not inside[:, -3:].any()


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


@settings(deadline=None)
@given(box=BOXES, other=BOXES)
def test_one_box_is_carried_into_the_other(box, other):
    side = 100
    tall, wide, down, right = transform_between_boxes(box, other, side)[0].astype(float)
    centre = (side - 1) / 2
    for ends, place, scale, shift in ((0, 0, tall, down), (2, 2, wide, right)):
        edges = box[0, ends : ends + 2] - 0.5  # a pixel's edge lies half a pixel before it
        carried = centre + (edges - centre) * scale + shift * side
        np.testing.assert_allclose(carried, other[0, place : place + 2] - 0.5, atol=1e-3)


def test_equal_boxes_stay():
    box = np.array([[10, 50, 20, 90]])
    np.testing.assert_array_equal(transform_between_boxes(box, box, 100), [IDENTITY])


def test_a_known_transform_is_recovered(fixed, moving):
    correlation, transform = register(fixed, moving, starts(len(fixed)))
    assert (correlation > 0.999).all()
    np.testing.assert_allclose(transform, TRANSFORMS, atol=0.003)


def test_brightness_is_no_matter(fixed, moving):
    correlation, transform = register(0.4 * fixed, moving, starts(len(fixed)))
    assert (correlation > 0.999).all()
    np.testing.assert_allclose(transform, TRANSFORMS, atol=0.003)


def test_what_lies_right_stays(moving):
    correlation, transform = register(moving, moving, starts(len(moving)))
    np.testing.assert_allclose(correlation, 1, atol=1e-5)
    np.testing.assert_allclose(transform, starts(len(moving)), atol=1e-4)


def test_every_step_leads_towards_the_transform(fixed, moving):
    first = register(fixed, moving, starts(len(fixed)), steps=1)[1]
    wrong_before = np.abs(TRANSFORMS - IDENTITY)
    wrong_after = np.abs(TRANSFORMS - first)
    assert (wrong_after[wrong_before > 0] < wrong_before[wrong_before > 0]).all()


def test_one_step_nearly_suffices_close_by_at_other_scales():
    moving = smooth(1, SIDE, sigma=2.5)
    target = np.array([[1.2, 0.8, 0.01, -0.01]], np.float32)
    fixed = warp_all(moving, target)[0]
    for index in range(4):
        begin = target.copy()
        begin[0, index] += 0.01
        found = register(fixed, moving, begin, steps=1)[1]
        np.testing.assert_allclose(found, target, atol=0.0025)


def test_registration_never_makes_it_worse():
    one, other = smooth(6, SIDE, 1.5, seed=1), smooth(6, SIDE, 1.5, seed=2)
    before = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)]
    correlation, transform = register(one, other, starts(6))
    assert (correlation >= np.array(before) - 1e-5).all()
    laid, inside = warp_all(other, transform)
    for index in range(6):  # the correlation told is the one at the transform told
        seen = inside[index]
        told = np.corrcoef(one[index][seen], laid[index][seen])[0, 1]
        assert told == pytest.approx(correlation[index], abs=1e-4)


def test_the_overlap_alone_counts():
    moving = smooth(1, SIDE, 2.0)
    fixed = smooth(1, SIDE, 2.0, seed=9)
    fixed[:, :-4] = moving[:, 4:]  # the last four rows show something else
    begin = np.array([[1, 1, 4 / SIDE, 0]], np.float32)
    correlation, transform = register(fixed, moving, begin)
    assert correlation[0] > 0.999
    np.testing.assert_allclose(transform, begin, atol=1e-3)


def test_more_than_a_batch_is_as_each_alone(fixed, moving):
    many = np.arange(BATCH + 3) % len(fixed)
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
