"""Batches have one size, and padding is dropped."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.inference.batching import compute_in_batches


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 20])
def test_batches_have_one_size_and_the_padding_is_dropped(count: int) -> None:
    shapes, counts = set(), []

    def double(batch: np.ndarray) -> np.ndarray:
        shapes.add(batch.shape)
        return 2 * batch

    rows = np.arange(1, 2 * count + 1, dtype=np.float32).reshape(count, 2)
    results = compute_in_batches(double, rows, 8, counts.append)
    np.testing.assert_array_equal(results, 2 * rows)
    assert shapes == {(8, 2)}
    assert sum(counts) == count
