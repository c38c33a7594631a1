"""Images as PNG: what is not one is refused, large ones shrink."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.reporting.images import embed, png_bytes, shrink


def test_what_is_not_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="not a PNG"):
        embed(b"GIF89a")
    with pytest.raises(ValueError, match="uint8, not float64"):
        png_bytes(np.zeros((2, 3, 3)))


def test_large_pictures_shrink_and_small_ones_stay() -> None:
    assert shrink(np.zeros((100, 400, 3), np.uint8), 64).shape == (16, 64, 3)
    assert shrink(np.zeros((1, 400, 3), np.uint8), 64).shape == (1, 64, 3)
    small = np.zeros((2, 3, 3), np.uint8)
    assert shrink(small, 3) is small
