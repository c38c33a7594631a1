"""What the taps of a convolution or a pooling meet, and which taps meet a position."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial, reduce

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped


def pad(
    x: Shaped[Array, "B H W C"], margin: int | tuple[int, int], value: float = 0
) -> Shaped[Array, "B h w C"]:
    """Puts a margin around every map.

    Args:
      x: Feature maps.
      margin: How many rows and columns to put before and after; one number for both.
      value: What they are filled with.

    Returns:
      The larger maps.
    """
    before, after = (margin, margin) if isinstance(margin, int) else margin
    around = (before, after, 0)
    return lax.pad(x, jnp.asarray(value, x.dtype), ((0, 0, 0), around, around, (0, 0, 0)))


def window(
    x: Shaped[Array, "B H W C"], start: tuple[int, int], size: tuple[int, ...], stride: int
) -> Shaped[Array, "B h w C"]:
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


def collect(
    sent_back: Callable[[int, int, Callable[[Array], Array]], Array],
    *,
    k: int,
    size: tuple[int, ...],
    stride: int,
) -> Float[Array, "B H W C"]:
    """Adds up what the k×k windows that meet an input position send back to it: a gradient.

    Tap i of window p meets position m = stride · p + i - (k-1)//2. Every remainder of m by the
    stride thus meets its own subset of the taps, and the sums are taken remainder by remainder
    and interleaved: at stride 2 that is a quarter of the work of the textbook form, a sum at
    stride 1 over the cotangent with zeros put in between.

    Args:
      sent_back: Gives, for tap (i, j) and a function that cuts the windows in question out of
        arrays [B, h, w, C] over all windows, padded by k, what they send back.
      k: Size of the windows, odd; they are padded by (k-1)//2.
      size: Height and width of the input.
      stride: Distance of the windows.

    Returns:
      The sums.
    """
    part = tuple(-(-whole // stride) for whole in size)

    def of_remainder(row: int, column: int) -> Array:
        parts = [
            sent_back(i, j, partial(window, start=(k + down, k + right), size=part, stride=1))
            for i, down in _meeting_taps(k, row, stride)
            for j, right in _meeting_taps(k, column, stride)
        ]
        # A stride beyond the window's size leaves positions that no window meets.
        return reduce(operator.add, parts) if parts else jnp.zeros_like(of_remainder(0, 0))

    remainders = range(stride)
    rows = [jnp.stack([of_remainder(r, c) for c in remainders], axis=3) for r in remainders]
    whole = jnp.stack(rows, axis=2)
    batch, features = whole.shape[0], whole.shape[-1]
    whole = whole.reshape(batch, stride * part[0], stride * part[1], features)
    return whole[:, : size[0], : size[1]]


def _meeting_taps(k: int, remainder: int, stride: int) -> list[tuple[int, int]]:
    """Taps i with (remainder + (k-1)//2 - i) divisible by the stride, and the quotient for each."""
    reach = remainder + (k - 1) // 2
    return [(i, (reach - i) // stride) for i in range(k) if (reach - i) % stride == 0]
