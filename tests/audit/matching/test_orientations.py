"""The eight orientations, by hand and as a group."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.audit.matching.orientations import ORIENTATIONS

PICTURE = np.array([[1, 2], [3, 4]])

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


def test_they_form_a_group():
    """Any two in a row equal one of the eight, and each row and column has all of them."""
    pictures = [each.apply(PICTURE).tolist() for each in ORIENTATIONS]
    table = [
        [pictures.index(second.apply(np.array(first)).tolist()) for second in ORIENTATIONS]
        for first in pictures
    ]
    for line in (*table, *zip(*table, strict=True)):
        assert sorted(line) == list(range(8))


@pytest.mark.parametrize("each", ORIENTATIONS, ids=lambda each: each.name)
def test_a_stack_is_turned_picture_by_picture_without_copying(each):
    stack = np.random.default_rng(0).normal(size=(2, 3, 5, 5))
    turned = each.apply(stack)
    assert np.shares_memory(turned, stack)
    for index in np.ndindex(2, 3):
        np.testing.assert_array_equal(turned[index], each.apply(stack[index]))
