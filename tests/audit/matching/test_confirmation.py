"""Confirmation of candidates: as a whole, in parts, in every orientation, after moving."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.audit.matching.appearance import halve, head_boxes
from fakd_jax.audit.matching.candidates import Candidates
from fakd_jax.audit.matching.confirmation import (
    MIN_PARTS,
    MIN_WHOLE,
    PARTS,
    WORTH_REGISTERING,
    Comparison,
    compare_directly,
    compare_registered,
    correlation_of_parts,
    register_coarsely,
)
from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.audit.matching.registration import IDENTITY
from tests.audit.pictures import inverse, smooth

PART = 4
SIDE = PARTS * PART
TOLERATED = 4  # a tenth of 49 parts


def with_parts_inverted(picture: np.ndarray, count: int) -> np.ndarray:
    """The picture with the contrast of its first parts inverted."""
    changed = picture.copy()
    for number in range(count):
        row, column = divmod(number, PARTS)
        part = changed[row * PART : (row + 1) * PART, column * PART : (column + 1) * PART]
        part *= -1
    return changed


@pytest.fixture
def lively() -> np.ndarray:
    """A picture whose parts all have the same contrast."""
    return np.kron(np.ones((PARTS, PARTS)), np.random.default_rng(0).normal(size=(PART, PART)))


@pytest.mark.parametrize("count", range(8))
def test_a_tenth_of_the_parts_may_differ(lively, count):
    found = correlation_of_parts(lively[None], with_parts_inverted(lively, count)[None])
    np.testing.assert_allclose(found, [1 if count <= TOLERATED else -1])


def test_each_part_has_its_own_brightness(lively):
    gains = np.kron(np.linspace(0.5, 2, PARTS**2).reshape(PARTS, PARTS), np.ones((PART, PART)))
    np.testing.assert_allclose(correlation_of_parts(lively[None], (gains * lively + 9)[None]), [1])


def test_the_background_does_not_count(lively):
    lively[2 * PART :] *= 0.01  # 14 parts are left; one may differ
    changed = [with_parts_inverted(lively, count) for count in (1, 2)] + [lively.copy()]
    changed[2][2 * PART :] *= -1
    found = correlation_of_parts(np.stack([lively] * 3), np.stack(changed))
    np.testing.assert_allclose(found, [1, -1, 1])


def test_the_value_is_the_correlation_of_the_worst_part_that_counts_and_0_without_contrast():
    rng = np.random.default_rng(1)
    one = rng.normal(size=(SIDE, SIDE))
    other = one + rng.normal(size=(SIDE, SIDE))
    parts = [
        np.corrcoef(
            one[row : row + PART, column : column + PART].ravel(),
            other[row : row + PART, column : column + PART].ravel(),
        )[0, 1]
        for row in range(0, SIDE, PART)
        for column in range(0, SIDE, PART)
    ]
    found = correlation_of_parts(one[None], other[None])
    assert found[0] == pytest.approx(sorted(parts)[TOLERATED])
    flat = np.full((2, SIDE, SIDE), 5.0)
    np.testing.assert_array_equal(correlation_of_parts(flat, flat), [0, 0])


def test_a_duplicate_must_agree_as_a_whole_and_in_its_parts():
    whole = np.array([MIN_WHOLE, MIN_WHOLE - 0.01, 1, 1])
    parts = np.array([MIN_PARTS, 1, MIN_PARTS - 0.01, 1])
    compared = Comparison(whole, parts, np.tile(IDENTITY, (4, 1)))
    assert compared.is_duplicate().tolist() == [True, False, False, True]


def pairs_of(first: list[int], second: list[int], orientation: list[int]) -> Candidates:
    columns = (np.array(column, int) for column in (first, second, orientation))
    return Candidates(*columns, np.ones(len(first)))


EIGHT = ([0] * 8, list(range(1, 9)), list(range(8)))


def test_pictures_are_compared_in_the_pair_s_orientation():
    (picture,) = smooth(1, 28, 1.5)
    pictures = np.stack([picture, *(inverse(each).apply(picture) for each in ORIENTATIONS)])
    right = compare_directly(pictures, pairs_of(*EIGHT))
    np.testing.assert_allclose(right.whole, 1, atol=1e-5)
    np.testing.assert_allclose(right.parts, 1, atol=1e-5)
    np.testing.assert_array_equal(right.transform, np.tile(IDENTITY, (8, 1)))


def test_the_order_of_the_pairs_is_kept():
    pictures = smooth(4, 28, 1.5)
    pictures[3] = pictures[1]
    pairs = pairs_of([0, 1, 0, 1], [1, 3, 2, 2], [3, 0, 1, 0])
    found = compare_directly(pictures, pairs)
    assert found.is_duplicate().tolist() == [False, True, False, False]
    np.testing.assert_array_equal(found.parts[[0, 2, 3]], -1)
    for number in (0, 2, 3):
        orientation = ORIENTATIONS[pairs.orientation[number]]
        other = orientation.apply(pictures[pairs.second[number]])
        expected = np.corrcoef(pictures[pairs.first[number]].ravel(), other.ravel())[0, 1]
        assert found.whole[number] == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def moved() -> tuple[np.ndarray, np.ndarray]:
    """Contrasts of a head, then of the head displaced in every orientation; and their boxes.

    The texture is finer than the displacement: only the boxes lead registration to it.
    """
    side, height, width = 56, 36, 28
    head = smooth(1, side, 1.2, seed=4)[0, :height, :width]
    plain, displaced = np.zeros((2, side, side), np.float32)
    plain[8 : 8 + height, 16 : 16 + width] = head + 10
    displaced[14 : 14 + height, 11 : 11 + width] = head + 10
    stack = np.stack([plain, *(inverse(each).apply(displaced) for each in ORIENTATIONS)])
    return np.where(stack > 0, stack - 10, 0), head_boxes(stack)


def registered(contrasts: np.ndarray, boxes: np.ndarray, pairs: Candidates) -> Comparison:
    """The comparison of the pairs that are worth it."""
    side = contrasts.shape[-1]
    coarse = halve(contrasts.astype(np.float32)).astype(contrasts.dtype)
    correlation, transform = register_coarsely(coarse, boxes, side, pairs)
    worth = correlation >= WORTH_REGISTERING
    return compare_registered(contrasts, pairs.take(worth), transform[worth])


def test_heads_are_registered_by_their_boxes_in_every_orientation_and_not_without(moved):
    contrasts, boxes = moved
    compared = registered(contrasts, boxes, pairs_of(*EIGHT))
    assert compared.is_duplicate().tolist() == [True] * 8
    np.testing.assert_allclose(compared.whole, 1, atol=0.01)
    # Six pixels down and five to the left, of 56.
    expected = np.tile([1, 1, 6 / 56, -5 / 56], (8, 1))
    np.testing.assert_allclose(compared.transform, expected, atol=0.004)
    whole = np.tile([0, 56, 0, 56], (len(boxes), 1))
    compared = registered(contrasts, whole, pairs_of(*EIGHT))
    assert not compared.is_duplicate().any()


def test_what_only_fits_after_an_implausible_move_is_not_a_duplicate(moved):
    contrasts, boxes = moved
    contrasts = np.stack([contrasts[0], np.roll(contrasts[1], 6, axis=0)])
    boxes = np.add(boxes[:2], [[0, 0, 0, 0], [6, 6, 0, 0]])  # 12 pixels down, 0.21 of the side
    correlation, _ = register_coarsely(halve(contrasts), boxes, 56, pairs_of([0], [1], [0]))
    assert correlation.tolist() == [-1]


def test_scratch_files_of_half_precision_compare_alike(moved):
    contrasts, boxes = moved
    exact = registered(contrasts, boxes, pairs_of(*EIGHT))
    halved = registered(contrasts.astype(np.float16), boxes, pairs_of(*EIGHT))
    np.testing.assert_allclose(halved.whole, exact.whole, atol=2e-3)
    np.testing.assert_allclose(halved.transform, exact.transform, atol=2e-3)


def test_pairs_that_promise_little_end_after_one_step(moved):
    contrasts, _ = moved
    contrasts = np.concatenate([contrasts, smooth(1, 56, 1.2, seed=9)])
    pairs = pairs_of([0, 0, 1], [1, 9, 9], [0, 0, 0])
    shift = np.array([1, 1, 6 / 56, -5 / 56], np.float32)
    transform = np.stack([shift, IDENTITY, IDENTITY])
    compared = compare_registered(contrasts, pairs, transform, promising=0.75)
    assert compared.is_duplicate().tolist() == [True, False, False]
    assert (compared.whole[1:] < 0.75).all()
    assert compared.parts[1:].tolist() == [-1, -1]
    every = compare_registered(contrasts, pairs, transform)
    assert every.is_duplicate().tolist() == [True, False, False]
    assert (every.parts[1:] > -1).all()


def test_no_pairs_give_no_comparison():
    nothing = pairs_of([], [], []).take(np.zeros(0, int))
    pictures = smooth(2, 28, 1.5)
    boxes = np.tile([0, 28, 0, 28], (2, 1))
    for compared in (
        compare_directly(pictures, nothing),
        registered(pictures, boxes, nothing),
    ):
        assert compared.is_duplicate().shape == (0,)
        assert compared.transform.shape == (0, 4)
