"""Changes of some images of a batch: each chosen one once, the others not at all."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fakd_jax.data.augment_some import change_some


@pytest.mark.parametrize("batch", [1, 16, 17, 33, 50])
def test_chosen_images_change_once_and_others_stay(batch: int) -> None:
    images = np.arange(batch, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 3, 1))
    change = jax.jit(
        lambda images, chosen: change_some(
            images, chosen, lambda numbers, some: 2 * some + 1000 + numbers[:, None, None, None]
        )
    )
    generator = np.random.default_rng(batch)
    for chosen in (np.zeros(batch, bool), np.ones(batch, bool), generator.random(batch) < 0.3):
        numbers = np.arange(batch)[:, None, None, None]
        expected = np.where(chosen[:, None, None, None], 2 * images + 1000 + numbers, images)
        np.testing.assert_array_equal(change(images, chosen), expected)
