from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.audit.matching.appearance import halve, head_boxes
from fakd_jax.audit.matching.candidates import Candidates
from fakd_jax.audit.matching.confirmation import (
    MIN_PARTS,
    MIN_WHOLE,
    PARTS,
    Comparison,
    compare_directly,
    compare_registered,
    correlation_of_parts,
)
from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.audit.matching.registration import IDENTITY
from tests.audit.pictures import smooth

PART = 4
SIDE = PARTS * PART
TOLERATED = 4  # a tenth of 49 parts


def with_parts_inverted(picture: np.ndarray, count: int) -> np.ndarray:
    """The picture with its first parts' contrast turned round."""
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
    lively[2 * PART :] *= 0.01  # 14 parts are left, of which one may differ
    one_differs = with_parts_inverted(lively, 1)
    two_differ = with_parts_inverted(lively, 2)
    background_differs = lively.copy()
    background_differs[2 * PART :] *= -1
    found = correlation_of_parts(
        np.stack([lively] * 3), np.stack([one_differs, two_differ, background_differs])
    )
    np.testing.assert_allclose(found, [1, -1, 1])


def test_the_value_is_the_correlation_of_the_worst_part_that_counts():
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


def test_pictures_without_contrast_agree_in_nothing():
    flat = np.full((2, SIDE, SIDE), 5.0)
    np.testing.assert_array_equal(correlation_of_parts(flat, flat), [0, 0])


def test_a_copy_must_agree_as_a_whole_and_in_its_parts():
    whole = np.array([MIN_WHOLE, MIN_WHOLE - 0.01, 1, 1])
    parts = np.array([MIN_PARTS, 1, MIN_PARTS - 0.01, 1])
    compared = Comparison(whole, parts, np.tile(IDENTITY, (4, 1)))
    assert compared.is_duplicate().tolist() == [True, False, False, True]


def pairs_of(first: list[int], second: list[int], orientation: list[int]) -> Candidates:
    columns = (np.array(column, int) for column in (first, second, orientation))
    return Candidates(*columns, np.ones(len(first)))


def test_pictures_are_compared_in_the_pair_s_orientation():
    pictures = smooth(9, 28, 1.5)
    for number, orientation in enumerate(ORIENTATIONS):
        (undone,) = (
            other
            for other in range(8)
            if np.array_equal(
                ORIENTATIONS[other].apply(orientation.apply(pictures[0])), pictures[0]
            )
        )
        pictures[1 + number] = ORIENTATIONS[undone].apply(pictures[0])
    right = compare_directly(pictures, pairs_of([0] * 8, list(range(1, 9)), list(range(8))))
    np.testing.assert_allclose(right.whole, 1, atol=1e-5)
    np.testing.assert_allclose(right.parts, 1, atol=1e-5)
    np.testing.assert_array_equal(right.transform, np.tile(IDENTITY, (8, 1)))
    wrong = compare_directly(
        pictures, pairs_of([0] * 8, list(range(1, 9)), [1, 2, 3, 4, 5, 6, 7, 0])
    )
    assert (wrong.whole < 0.8).all()
    assert not wrong.is_duplicate().any()
    np.testing.assert_array_equal(wrong.parts, -1)


def test_order_of_the_pairs_is_kept():
    pictures = smooth(4, 28, 1.5)
    pictures[3] = pictures[1]
    pairs = pairs_of([0, 1, 0, 1], [1, 3, 2, 2], [3, 0, 1, 0])
    found = compare_directly(pictures, pairs)
    assert found.is_duplicate().tolist() == [False, True, False, False]
    for number in (0, 2, 3):
        orientation = ORIENTATIONS[pairs.orientation[number]]
        other = orientation.apply(pictures[pairs.second[number]])
        expected = np.corrcoef(pictures[pairs.first[number]].ravel(), other.ravel())[0, 1]
        assert found.whole[number] == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def moved() -> tuple[np.ndarray, np.ndarray]:
    """The contrast of a head at one place, then of the head displaced, once so turned each way.

    Its texture is finer than the distransform, so that only the boxes, beside it, tell that.
    """
    side, height, width = 56, 36, 28
    head = smooth(1, side, 1.2, seed=4)[0, :height, :width]
    plain, displaced = np.zeros((2, side, side), np.float32)
    plain[8 : 8 + height, 16 : 16 + width] = head + 10
    displaced[14 : 14 + height, 11 : 11 + width] = head + 10
    pictures = [plain]
    for orientation in ORIENTATIONS:
        (undone,) = (
            other
            for other in ORIENTATIONS
            if np.array_equal(orientation.apply(other.apply(displaced)), displaced)
        )
        pictures.append(np.ascontiguousarray(undone.apply(displaced)))
    stack = np.stack(pictures)
    return np.where(stack > 0, stack - 10, 0), head_boxes(stack)


EIGHT = ([0] * 8, list(range(1, 9)), list(range(8)))


def test_heads_are_laid_over_each_other_by_their_boxes_in_every_orientation(moved):
    contrasts, boxes = moved
    compared = compare_registered(halve(contrasts), contrasts, boxes, pairs_of(*EIGHT))
    assert compared.is_duplicate().all()
    np.testing.assert_allclose(compared.whole, 1, atol=0.01)
    # six pixels further down and five further left, of 56
    expected = np.tile([1, 1, 6 / 56, -5 / 56], (8, 1))
    np.testing.assert_allclose(compared.transform, expected, atol=0.004)


def test_without_the_right_boxes_they_are_not(moved):
    contrasts, boxes = moved
    whole = np.tile([0, 56, 0, 56], (len(boxes), 1))
    compared = compare_registered(halve(contrasts), contrasts, whole, pairs_of(*EIGHT))
    assert not compared.is_duplicate().any()


def test_what_only_fits_after_an_implausible_move_is_no_copy(moved):
    contrasts, boxes = moved
    contrasts = np.stack([contrasts[0], np.roll(contrasts[1], 6, axis=0)])
    boxes = np.add(boxes[:2], [[0, 0, 0, 0], [6, 6, 0, 0]])  # 12 pixels down, 0.21 of the side
    compared = compare_registered(halve(contrasts), contrasts, boxes, pairs_of([0], [1], [0]))
    assert compared.whole[0] == -1
    assert not compared.is_duplicate().any()


def test_no_pairs_give_no_comparison():
    nothing = pairs_of([], [], []).take(np.zeros(0, int))
    pictures = smooth(2, 28, 1.5)
    boxes = np.tile([0, 28, 0, 28], (2, 1))
    for compared in (
        compare_directly(pictures, nothing),
        compare_registered(halve(pictures), pictures, boxes, nothing),
    ):
        assert compared.is_duplicate().shape == (0,)
        assert compared.transform.shape == (0, 4)
