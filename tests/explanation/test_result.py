"""The heaviest superpixels of an explanation."""

from __future__ import annotations

import numpy as np

from fakd_jax.explanation.result import Explanation, painted, top_superpixels


def test_top_superpixels_by_absolute_weight_without_zeros() -> None:
    segments = np.array([[0, 1], [2, 3]], np.int32)
    weights = np.array([0.1, -0.5, 0.0, 0.2])
    top = top_superpixels(Explanation(1, segments, weights, painted(segments, weights)), 4)
    assert [(s.superpixel, s.positive) for s in top] == [(1, False), (3, True), (0, True)]
    assert {s.area for s in top} == {0.25}
