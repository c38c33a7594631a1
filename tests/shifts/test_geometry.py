from __future__ import annotations

import jax
import numpy as np

from fakd_jax.shifts.geometry import warp
from tests.shifts import tiny


def test_products_of_maps_apply_the_left_one_first() -> None:
    """A quarter turn and a mirror do not commute, and move pixels onto pixels."""
    image = tiny.image()[:, : tiny.HEIGHT]
    quarter = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], np.float32)
    mirror = np.diag([-1, 1, 1]).astype(np.float32)
    maps = np.stack([quarter, quarter @ mirror, mirror @ quarter])
    turned, turned_and_mirrored, mirrored_and_turned = jax.jit(warp)(np.stack([image] * 3), maps)
    np.testing.assert_array_equal(turned, np.rot90(image, k=-1))
    np.testing.assert_array_equal(turned_and_mirrored, np.rot90(image, k=-1)[:, ::-1])
    np.testing.assert_array_equal(mirrored_and_turned, np.rot90(image[:, ::-1], k=-1))
