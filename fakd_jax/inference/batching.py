"""Rows in batches of one size, so that a network compiles once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Shaped

from fakd_jax.runtime.async_dispatch import wait_for_room


def map_batches(
    function: Callable[[np.ndarray], Any],
    rows: Shaped[np.ndarray, "N ..."],
    batch_size: int,
    on_batch: Callable[[int], None] | None = None,
) -> list[Any]:
    """Calls a function on batches of exactly `batch_size` rows, the last one padded with zeros.

    Args:
      function: from a batch to an array, which the device may still be computing when it returns.
      rows: none make one batch of padding, which gives the shape of the result.
      batch_size: at least 1.
      on_batch: called after each batch with its number of rows, padding excluded.

    Returns:
      The results, padding included.
    """
    results: list[Any] = []
    for start in range(0, max(len(rows), 1), batch_size):
        wait_for_room(results)
        batch = rows[start : start + batch_size]
        padding = [(0, batch_size - len(batch))] + [(0, 0)] * (rows.ndim - 1)
        results.append(function(np.pad(batch, padding)))
        if on_batch is not None:
            on_batch(len(batch))
    return results


def compute_in_batches(
    function: Callable[[np.ndarray], Any],
    rows: Shaped[np.ndarray, "N ..."],
    batch_size: int,
    on_batch: Callable[[int], None] | None = None,
) -> Shaped[np.ndarray, "N ..."]:
    """:func:`map_batches`, joined and without the padding."""
    results = map_batches(function, rows, batch_size, on_batch)
    return np.concatenate([np.asarray(result) for result in results])[: len(rows)]
