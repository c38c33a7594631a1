from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakd_jax.audit.matching.orientations import ORIENTATIONS

PICTURE = np.array([[1, 2], [3, 4]])
NUMBERS = st.integers(0, 7)

BY_HAND = {
    "as it is": [[1, 2], [3, 4]],
    "mirrored": [[2, 1], [4, 3]],
    "turned by 180°": [[4, 3], [2, 1]],
    "upside down": [[3, 4], [1, 2]],
    "turned by 90°": [[2, 4], [1, 3]],
    "turned by 270°": [[3, 1], [4, 2]],
    "turned by 90° and mirrored": [[4, 2], [3, 1]],
    "turned by 270° and mirrored": [[1, 3], [2, 4]],
}


def test_each_by_hand():
    assert {each.name: each.apply(PICTURE).tolist() for each in ORIENTATIONS} == BY_HAND


def test_the_first_changes_nothing():
    np.testing.assert_array_equal(ORIENTATIONS[0].apply(PICTURE), PICTURE)


def number_of(picture: np.ndarray) -> int:
    """Which orientation of `PICTURE` this is; an error unless it is exactly one."""
    (number,) = (
        number
        for number, each in enumerate(ORIENTATIONS)
        if np.array_equal(each.apply(PICTURE), picture)
    )
    return number


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_two_after_each_other_are_one_of_them(first, second):
    number_of(ORIENTATIONS[second].apply(ORIENTATIONS[first].apply(PICTURE)))


@settings(deadline=None)
@given(NUMBERS)
def test_each_is_undone_by_exactly_one(number):
    turned = ORIENTATIONS[number].apply(PICTURE)
    undone = [np.array_equal(each.apply(turned), PICTURE) for each in ORIENTATIONS]
    assert sum(undone) == 1


@pytest.mark.parametrize("each", ORIENTATIONS, ids=lambda each: each.name)
def test_a_stack_is_turned_picture_by_picture_without_copying(each):
    stack = np.random.default_rng(0).normal(size=(2, 3, 5, 5))
    turned = each.apply(stack)
    assert np.shares_memory(turned, stack)
    for index in np.ndindex(2, 3):
        np.testing.assert_array_equal(turned[index], each.apply(stack[index]))
