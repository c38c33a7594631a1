"""Changes that few images of a batch undergo, computed for these alone."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32

_PARTS = 16
"""Of a batch, of which as many are computed as it takes to reach every image that changes."""

Change = Callable[
    [Int32[Array, " n"], Float32[Array, "n H W C"]],
    Float32[Array, "n H W C"],
]
"""(numbers of some images in their batch, these images) → these images, changed."""


def change_some(
    images: Float32[Array, "B H W C"], chosen: Bool[Array, " B"], change: Change
) -> Float32[Array, "B H W C"]:
    """Changes the chosen images of a batch, a few at a time, in place.

    The loop also keeps XLA from computing one change again for every tap of the next one's filter.

    Args:
      images: any range.
      chosen: the others stay as they are.
      change: must depend on nothing but an image and its number.
    """
    batch = len(images)
    rows_at_once = -(-batch // _PARTS)
    order = jnp.argsort(~chosen)
    # Images that are not chosen get a number out of range: they are computed at most to fill a
    # part, and not written.
    order = jnp.where(chosen[order], order, batch)
    order = jnp.pad(order, (0, -batch % rows_at_once), constant_values=batch)

    def change_part(part: Array, changed: Array) -> Array:
        rows = jax.lax.dynamic_slice_in_dim(order, part * rows_at_once, rows_at_once)
        numbers = jnp.minimum(rows, batch - 1)
        return changed.at[rows].set(change(numbers, changed[numbers]), mode="drop")

    parts = (jnp.sum(chosen) + rows_at_once - 1) // rows_at_once
    return jax.lax.fori_loop(0, parts, change_part, images)
