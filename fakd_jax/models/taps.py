"""What the taps of a convolution meet: padding and shifted, strided windows."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def pad(x: Float[Array, "B H W C"], margin: int) -> Float[Array, "B h w C"]:
    """Puts zeros around every map.

    Args:
      x: Feature maps.
      margin: How many rows and columns on each side.

    Returns:
      The larger maps.
    """
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, ((0, 0, 0), (margin, margin, 0), (margin, margin, 0), (0, 0, 0)))


def window(
    x: Float[Array, "B H W C"], start: tuple[int, int], size: tuple[int, ...], stride: int
) -> Float[Array, "B h w C"]:
    """Cuts out what one tap meets on its way over the maps.

    Args:
      x: Feature maps, padded.
      start: First row and column.
      size: How many rows and columns to take.
      stride: Distance between them.

    Returns:
      The maps [B, *size, C].
    """
    stop = [first + stride * (length - 1) + 1 for first, length in zip(start, size, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[3]), (1, stride, stride, 1))
