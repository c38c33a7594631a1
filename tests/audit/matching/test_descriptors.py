"""Descriptors of pictures against the pictures themselves."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.audit.matching.candidates import unit_rows
from fakd_jax.audit.matching.descriptors import LENGTH, describe, oriented
from fakd_jax.audit.matching.orientations import ORIENTATIONS
from tests.audit.pictures import smooth


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=lambda each: each.name)
def test_a_descriptor_is_turned_like_its_picture(orientation):
    pictures = smooth(5, 20, 1.0)
    turned = describe(np.ascontiguousarray(orientation.apply(pictures)))
    np.testing.assert_allclose(oriented(describe(pictures), orientation), turned, atol=1e-5)


def test_products_are_correlations_where_only_low_frequencies_count():
    pictures = smooth(6, 56, 6.0)
    rows, descriptors = unit_rows(pictures), describe(pictures)
    assert descriptors.shape == (6, LENGTH)
    np.testing.assert_allclose(descriptors @ descriptors.T, rows @ rows.T, atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, rtol=1e-5)


def test_a_picture_without_contrast_has_no_descriptor():
    flat = np.stack([np.zeros((20, 20)), np.full((20, 20), 7)]).astype(np.float32)
    np.testing.assert_array_equal(describe(flat), np.zeros((2, LENGTH)))
